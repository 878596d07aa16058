# llama.cpp, from source, pinned, built once for every preset.
#
# The npm package node-llama-cpp carries the git bundle of the release. It is fetched with `npm pack`, checked against
# the hash below, cloned into a cache folder outside the build tree and built there: ggml, llama and llama-common only.
# The target sutazai::llamacpp is what src/llama, src/kernels and src/synth link.
#
#   -DSUTAZAI_LLAMA_SOURCE=<dir>   use this checkout instead
#   -DSUTAZAI_CACHE_DIR=<dir>      where source and libraries are kept (default $XDG_CACHE_HOME/sutazai)

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

if(SUTAZAI_LLAMA_SOURCE)
    set(llama_source ${SUTAZAI_LLAMA_SOURCE})
    if(NOT EXISTS ${llama_source}/include/llama.h)
        message(FATAL_ERROR "SUTAZAI_LLAMA_SOURCE=${llama_source} is no llama.cpp checkout: include/llama.h is missing.")
    endif()
else()
    file(MAKE_DIRECTORY ${SUTAZAI_CACHE_DIR})
    file(LOCK ${SUTAZAI_CACHE_DIR}/fetch.lock GUARD FILE TIMEOUT 600)
    set(llama_source ${SUTAZAI_CACHE_DIR}/llama.cpp-${SUTAZAI_LLAMA_TAG})
    sutazai_fetch_llama(${llama_source})
    file(LOCK ${SUTAZAI_CACHE_DIR}/fetch.lock RELEASE)
endif()

set(llama_options
    -DCMAKE_BUILD_TYPE=Release
    -DBUILD_SHARED_LIBS=OFF
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON
    -DGGML_NATIVE=ON
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
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND
   (CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12.4 OR
    (CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13 AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13.3)))
    list(APPEND llama_options -DARCH_FLAGS=-mno-amx-int8)
endif()

# Libraries for one processor must not be picked up on another that shares the cache folder.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native -Q --help=target OUTPUT_VARIABLE processor ERROR_QUIET)
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
set(llama_build ${SUTAZAI_CACHE_DIR}/llama.cpp-build-${llama_key})
set(llama_libs
    common/libllama-common.a common/libllama-common-base.a src/libllama.a vendor/cpp-httplib/libcpp-httplib.a
    ggml/src/libggml.a ggml/src/libggml-cpu.a ggml/src/libggml-base.a)
if(SUTAZAI_CUDA)
    list(APPEND llama_libs ggml/src/ggml-cuda/libggml-cuda.a)
endif()
list(TRANSFORM llama_libs PREPEND ${llama_build}/)

# Two build trees may come here at once, hence flock; the stamp keeps a finished build from being looked at again.
set(llama_stamp ${llama_build}/sutazai.stamp)
string(JOIN " " llama_configure ${CMAKE_COMMAND} -S ${llama_source} -B ${llama_build} -G Ninja ${llama_options})
file(MAKE_DIRECTORY ${llama_build})
file(WRITE ${llama_build}/build.sh.new
"#!/bin/sh
set -e
if [ -f ${llama_stamp} ]; then exit 0; fi
echo 'Building llama.cpp ${SUTAZAI_LLAMA_TAG} (about 4 minutes on 2 cores, once)'
${llama_configure} > ${llama_build}/configure.log 2>&1 || { cat ${llama_build}/configure.log; exit 1; }
${CMAKE_COMMAND} --build ${llama_build} --target llama-common
touch ${llama_stamp}
")
file(RENAME ${llama_build}/build.sh.new ${llama_build}/build.sh)
add_custom_command(
    OUTPUT ${llama_stamp}
    BYPRODUCTS ${llama_libs}
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
