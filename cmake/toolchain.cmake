# Compiler cache, linker, warnings and sanitizers for our own targets.

find_program(CCACHE ccache)
if(CCACHE)
    # Paths below the source folder are made relative and the build folder is left out of the hash: a fresh clone or a
    # second build tree finds what another has compiled.
    set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
    set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

find_program(MOLD mold)
if(MOLD)
    add_link_options(-fuse-ld=mold)
endif()

add_library(sutazai_options INTERFACE)
# g++ 12 takes Asio's own operator new and delete of coroutine frames for a mismatch.
target_compile_options(sutazai_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers
                       -Wno-mismatched-new-delete)
if(SUTAZAI_WERROR)
    target_compile_options(sutazai_options INTERFACE -Werror)
endif()
if(SUTAZAI_SANITIZE)
    # Instrumented code makes g++ see uninitialised values where there are none; the other presets still warn of them.
    target_compile_options(sutazai_options INTERFACE -fsanitize=${SUTAZAI_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=all $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    if(SUTAZAI_SANITIZE MATCHES "undefined")
        # This check asks the kernel through a pipe, which a server that has run out of file descriptors does not get.
        target_compile_options(sutazai_options INTERFACE -fno-sanitize=vptr)
    endif()
    target_link_options(sutazai_options INTERFACE -fsanitize=${SUTAZAI_SANITIZE})
    if(SUTAZAI_SANITIZE MATCHES "thread")
        # Asio's fences are understood only as far as the mutexes beside them are.
        target_compile_options(sutazai_options INTERFACE -Wno-tsan)
    endif()
endif()
