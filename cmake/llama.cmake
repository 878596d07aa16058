# llama.cpp, from source, pinned, built once for every preset.
#
# The npm package node-llama-cpp carries the git bundle of the release. It is fetched with `npm pack`, checked against
# the hash below and cloned into a cache folder outside the build tree. A copy of it gets the patches of patches/llama.cpp
# and is built there: ggml, llama, llama-common and mtmd only. The target sutazai::llamacpp is what src/llama, src/kernels
# and src/synth link, sutazai::mtmd (images) src/llama alone; ggml's CPU backend is left out of it and comes with
# src/kernels, once for each level of processor.
#
#   -DSUTAZAI_LLAMA_SOURCE=<dir>   use this checkout instead, to which you have applied the patches
#   -DSUTAZAI_CACHE_DIR=<dir>      where source and libraries are kept (default $XDG_CACHE_HOME/sutazai)
#   -DSUTAZAI_CPU_LEVELS=<list>    processors to build for (default: all of sutazai_levels; "native": this one alone)

set(SUTAZAI_LLAMA_TAG v0.5.0)
set(SUTAZAI_LLAMA_PACKAGE node-llama-cpp@3.22.1)
set(SUTAZAI_LLAMA_SHA256 a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f)

if(DEFINED ENV{XDG_CACHE_HOME})
    set(default_cache $ENV{XDG_CACHE_HOME}/sutazai)
else()
    set(default_cache $ENV{HOME}/.cache/sutazai)
endif()
set(SUTAZAI_CACHE_DIR ${default_cache} CACHE PATH "Where the llama.cpp source and libraries are kept")
set(SUTAZAI_LLAMA_SOURCE "" CACHE PATH "A llama.cpp checkout to use instead of the pinned release")
option(SUTAZAI_CUDA "Build llama.cpp with its CUDA backend" OFF)

# Levels of processors, lowest first, and what the compiler is told for each. src/kernels/cpu_level.cpp knows what a
# processor must have for each.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    set(sutazai_levels x86-64-v2 avx2 avx2-vnni avx512 avx512-vnni avx512-bf16)
    set(default_levels ${sutazai_levels})
else()
    set(default_levels native)
endif()
set(sutazai_flags_x86-64-v2 -march=x86-64-v2)
set(sutazai_flags_avx2 -march=x86-64-v3)
set(sutazai_flags_avx2-vnni -march=x86-64-v3 -mavxvnni -mgfni)
set(sutazai_flags_avx512 -march=x86-64-v4)
set(sutazai_flags_avx512-vnni -march=x86-64-v4 -mavx512vnni)
set(sutazai_flags_avx512-bf16 -march=x86-64-v4 -mavx512vnni -mavx512bf16 -mgfni)
set(sutazai_flags_native -march=native)
set(SUTAZAI_CPU_LEVELS ${default_levels} CACHE STRING "Processors to build for; native: this one alone")
foreach(level ${SUTAZAI_CPU_LEVELS})
    if(NOT level STREQUAL native AND NOT level IN_LIST sutazai_levels)
        message(FATAL_ERROR "SUTAZAI_CPU_LEVELS: there is no level '${level}', only ${sutazai_levels} and native.")
    endif()
endforeach()

function(sutazai_fetch_llama destination)
    if(EXISTS ${destination}/include/llama.h)
        return()
    endif()
    find_program(NPM npm)
    if(NOT NPM)
        message(FATAL_ERROR "npm was not found; the llama.cpp source comes as an npm package. Run 'make deps', "
                            "or give -DSUTAZAI_LLAMA_SOURCE=<llama.cpp checkout of ${SUTAZAI_LLAMA_TAG}>.")
    endif()
    find_package(Git QUIET)
    if(NOT GIT_FOUND)
        message(FATAL_ERROR "git was not found. Run 'make deps'.")
    endif()
    message(STATUS "Fetching llama.cpp ${SUTAZAI_LLAMA_TAG} (npm package ${SUTAZAI_LLAMA_PACKAGE})")
    set(work ${SUTAZAI_CACHE_DIR}/fetch)
    file(REMOVE_RECURSE ${work})
    file(MAKE_DIRECTORY ${work})
    execute_process(COMMAND ${NPM} pack --silent ${SUTAZAI_LLAMA_PACKAGE} WORKING_DIRECTORY ${work}
                    RESULT_VARIABLE failed ERROR_VARIABLE why)
    file(GLOB archive ${work}/*.tgz)
    if(failed OR NOT archive)
        message(FATAL_ERROR "'npm pack ${SUTAZAI_LLAMA_PACKAGE}' failed: ${why}\nCheck that npm reaches its registry, "
                            "or give -DSUTAZAI_LLAMA_SOURCE=<llama.cpp checkout of ${SUTAZAI_LLAMA_TAG}>.")
    endif()
    file(SHA256 ${archive} hash)
    if(NOT hash STREQUAL SUTAZAI_LLAMA_SHA256)
        message(FATAL_ERROR "${SUTAZAI_LLAMA_PACKAGE} has the SHA-256 ${hash}; ${SUTAZAI_LLAMA_SHA256} was expected. "
                            "Do not build it: the package is not the one that was reviewed. Remove ${work} and try "
                            "again; if it stays so, report it.")
    endif()
    file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${work} PATTERNS package/llama/gitRelease.bundle)
    execute_process(COMMAND ${GIT_EXECUTABLE} -c advice.detachedHead=false clone --quiet
                            ${work}/package/llama/gitRelease.bundle ${work}/checkout
                    RESULT_VARIABLE failed ERROR_VARIABLE why)
    if(failed OR NOT EXISTS ${work}/checkout/include/llama.h)
        message(FATAL_ERROR "The llama.cpp bundle could not be cloned into ${work}: ${why}")
    endif()
    file(RENAME ${work}/checkout ${destination})
    file(REMOVE_RECURSE ${work})
endfunction()

# Copies the checkout and applies the patches to the copy. A patch that does not fit ends the configuration.
function(sutazai_patch_llama from destination)
    if(EXISTS ${destination}/include/llama.h)
        return()
    endif()
    find_package(Git REQUIRED)
    set(work ${destination}.new)
    file(REMOVE_RECURSE ${work})
    execute_process(COMMAND ${GIT_EXECUTABLE} -c advice.detachedHead=false clone --quiet --shared ${from} ${work}
                    COMMAND_ERROR_IS_FATAL ANY)
    foreach(patch ${llama_patches})
        execute_process(COMMAND ${GIT_EXECUTABLE} -C ${work} apply ${patch} RESULT_VARIABLE failed ERROR_VARIABLE why)
        if(failed)
            message(FATAL_ERROR "${patch} does not fit llama.cpp ${SUTAZAI_LLAMA_TAG}; write it anew for this release:\n${why}")
        endif()
    endforeach()
    file(RENAME ${work} ${destination})
endfunction()

# A checkout that somebody else looks after: each patch leaves its number behind in every file that it changes.
function(sutazai_check_patches source)
    foreach(patch ${llama_patches})
        get_filename_component(name ${patch} NAME)
        string(SUBSTRING ${name} 0 4 number)
        file(STRINGS ${patch} changed REGEX "^\\+\\+\\+ b/")
        foreach(line ${changed})
            string(SUBSTRING ${line} 6 -1 file)
            set(found "")
            if(EXISTS ${source}/${file})
                file(STRINGS ${source}/${file} found REGEX "sutazai-patch: ${number}")
            endif()
            if(NOT found)
                message(FATAL_ERROR "${source}/${file} lacks a patch that SutazAI needs. In ${source}: git apply ${patch}")
            endif()
        endforeach()
    endforeach()
endfunction()

file(GLOB llama_patches ${CMAKE_CURRENT_SOURCE_DIR}/patches/llama.cpp/*.patch)
list(SORT llama_patches)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${llama_patches})
if(SUTAZAI_LLAMA_SOURCE)
    set(llama_source ${SUTAZAI_LLAMA_SOURCE})
    set(llama_pristine ${llama_source})
    set(llama_builds ${SUTAZAI_CACHE_DIR})
    if(NOT EXISTS ${llama_source}/include/llama.h)
        message(FATAL_ERROR "SUTAZAI_LLAMA_SOURCE=${llama_source} is no llama.cpp checkout: include/llama.h is missing.")
    endif()
    sutazai_check_patches(${llama_source})
else()
    set(patches "")
    foreach(patch ${llama_patches})
        file(READ ${patch} text)
        string(APPEND patches "${text}")
    endforeach()
    string(SHA256 patches "${patches}")
    string(SUBSTRING ${patches} 0 12 patches)
    # Builds lie beside their source, so that the compiler cache serves one set of patches with the objects of another.
    set(llama_builds ${SUTAZAI_CACHE_DIR}/llama.cpp-${SUTAZAI_LLAMA_TAG}-${patches})
    set(llama_source ${llama_builds}/source)
    set(llama_pristine ${SUTAZAI_CACHE_DIR}/llama.cpp-${SUTAZAI_LLAMA_TAG})
    file(MAKE_DIRECTORY ${llama_builds})
    file(LOCK ${SUTAZAI_CACHE_DIR}/fetch.lock GUARD FILE TIMEOUT 600)
    sutazai_fetch_llama(${llama_pristine})
    sutazai_patch_llama(${llama_pristine} ${llama_source})
    file(LOCK ${SUTAZAI_CACHE_DIR}/fetch.lock RELEASE)
endif()

set(llama_options
    -DCMAKE_BUILD_TYPE=Release
    -DBUILD_SHARED_LIBS=OFF
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON
    -DGGML_CUDA=${SUTAZAI_CUDA}
    -DLLAMA_BUILD_COMMON=ON
    -DLLAMA_BUILD_TESTS=OFF
    -DLLAMA_BUILD_EXAMPLES=OFF
    -DLLAMA_BUILD_TOOLS=OFF
    -DLLAMA_BUILD_SERVER=OFF
    -DLLAMA_BUILD_APP=OFF
    -DLLAMA_OPENSSL=OFF
    -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
    -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
if(CCACHE)
    list(APPEND llama_options -DCMAKE_C_COMPILER_LAUNCHER=${CCACHE} -DCMAKE_CXX_COMPILER_LAUNCHER=${CCACHE})
endif()

# g++ before 12.4 and 13.3 drops the stores that fill AMX's tile configuration (GCC bug 114098), and llama.cpp dies of it on
# processors with AMX. Debian 12 has 12.2. ARCH_FLAGS is the list that ggml adds -march=native to.
set(native_options -DGGML_NATIVE=ON)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND
   (CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12.4 OR
    (CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13 AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13.3)))
    list(APPEND native_options -DARCH_FLAGS=-mno-amx-int8)
    list(APPEND sutazai_flags_native -mno-amx-int8)
endif()
# Libraries for one processor must not be picked up on another that shares the cache folder.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native -Q --help=target OUTPUT_VARIABLE processor ERROR_QUIET)

# bench/peer.sh builds llama-server from this: source, name of the build folder, options, one a line. Unpatched, for this
# processor alone.
string(SHA256 peer_key "${llama_pristine};${llama_options};${native_options};${processor};${CMAKE_CXX_COMPILER_VERSION}")
string(SUBSTRING ${peer_key} 0 12 peer_key)
list(JOIN llama_options "\n" peer)
list(JOIN native_options "\n" native)
file(WRITE ${CMAKE_BINARY_DIR}/llama-peer
     "${llama_pristine}\n${SUTAZAI_CACHE_DIR}/llama.cpp-peer-${peer_key}\n${peer}\n${native}\n")

set(variants "")
foreach(level ${SUTAZAI_CPU_LEVELS})
    string(JOIN " " flags ${sutazai_flags_${level}})
    list(APPEND variants "${level} ${flags}")
endforeach()
list(JOIN variants "," variants)
list(APPEND llama_options -DGGML_NATIVE=OFF "-DGGML_CPU_STATIC_VARIANTS=${variants}"
     -DLLAMA_BUILD_MTMD=ON -DMTMD_VIDEO=OFF)
if(NOT "native" IN_LIST SUTAZAI_CPU_LEVELS)
    set(processor "")
endif()
set(SUTAZAI_LLAMA_VERSION ${SUTAZAI_LLAMA_TAG})
set(llama_edition "")
if(SUTAZAI_LLAMA_SOURCE)
    # A changed checkout is built anew, beside the old one.
    include(${CMAKE_CURRENT_LIST_DIR}/llama_version.cmake)
    sutazai_llama_version(${llama_source} ${SUTAZAI_LLAMA_TAG} SUTAZAI_LLAMA_VERSION)
    set(llama_edition ";${SUTAZAI_LLAMA_VERSION}")
endif()
string(SHA256 llama_key "${llama_source};${llama_options};${processor};${CMAKE_CXX_COMPILER_VERSION}${llama_edition}")
string(SUBSTRING ${llama_key} 0 12 llama_key)
set(llama_build ${llama_builds}/llama.cpp-build-${llama_key})
set(llama_libs
    common/libllama-common.a common/libllama-common-base.a src/libllama.a vendor/cpp-httplib/libcpp-httplib.a
    ggml/src/libggml.a ggml/src/libggml-base.a)
if(SUTAZAI_CUDA)
    list(APPEND llama_libs ggml/src/ggml-cuda/libggml-cuda.a)
endif()
list(TRANSFORM llama_libs PREPEND ${llama_build}/)
set(mtmd_libs ${llama_build}/tools/mtmd/libmtmd.a ${llama_build}/vendor/hash/libvendor-hash.a)
set(llama_cpu_libs ${SUTAZAI_CPU_LEVELS})
list(TRANSFORM llama_cpu_libs REPLACE "(.+)" "${llama_build}/ggml/src/libggml-cpu-\\1.a")

# Two build trees may come here at once, hence flock; the stamp keeps a finished build from being looked at again.
set(llama_stamp ${llama_build}/sutazai.stamp)
list(TRANSFORM llama_options REPLACE "(.+)" "'\\1'" OUTPUT_VARIABLE quoted)
string(JOIN " " llama_configure ${CMAKE_COMMAND} -S ${llama_source} -B ${llama_build} -G Ninja ${quoted})
file(MAKE_DIRECTORY ${llama_build})
file(WRITE ${llama_build}/build.sh.new
"#!/bin/sh
set -e
export CCACHE_BASEDIR=${llama_builds} CCACHE_NOHASHDIR=1
if [ -f ${llama_stamp} ]; then exit 0; fi
echo 'Building llama.cpp ${SUTAZAI_LLAMA_TAG} (about 7 minutes on 2 cores, once)'
${llama_configure} > ${llama_build}/configure.log 2>&1 || { cat ${llama_build}/configure.log; exit 1; }
${CMAKE_COMMAND} --build ${llama_build} --target llama-common mtmd
touch ${llama_stamp}
")
file(RENAME ${llama_build}/build.sh.new ${llama_build}/build.sh)
add_custom_command(
    OUTPUT ${llama_stamp}
    BYPRODUCTS ${llama_libs} ${mtmd_libs} ${llama_cpu_libs}
    COMMAND flock ${llama_build}.lock sh ${llama_build}/build.sh
    USES_TERMINAL
    COMMENT "llama.cpp ${SUTAZAI_LLAMA_TAG}")
add_custom_target(sutazai_llama_build DEPENDS ${llama_stamp})

find_package(OpenMP QUIET)
add_library(sutazai_llamacpp INTERFACE)
add_library(sutazai::llamacpp ALIAS sutazai_llamacpp)
add_dependencies(sutazai_llamacpp sutazai_llama_build)
target_include_directories(sutazai_llamacpp SYSTEM INTERFACE
    ${llama_source}/include ${llama_source}/ggml/include ${llama_source}/common ${llama_source}/vendor)
target_link_libraries(sutazai_llamacpp INTERFACE ${llama_libs} Threads::Threads ${CMAKE_DL_LIBS})
if(OpenMP_CXX_FOUND)
    target_link_libraries(sutazai_llamacpp INTERFACE OpenMP::OpenMP_CXX)
endif()
if(SUTAZAI_CUDA)
    find_package(CUDAToolkit REQUIRED)
    target_link_libraries(sutazai_llamacpp INTERFACE CUDA::cudart_static CUDA::cublas CUDA::cublasLt CUDA::cuda_driver)
endif()

add_library(sutazai_mtmd INTERFACE)
add_library(sutazai::mtmd ALIAS sutazai_mtmd)
target_include_directories(sutazai_mtmd SYSTEM INTERFACE ${llama_source}/tools/mtmd)
target_link_libraries(sutazai_mtmd INTERFACE ${mtmd_libs} sutazai_llamacpp)
