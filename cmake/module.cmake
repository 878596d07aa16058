# sutazai_module(NAME SOURCES ... LINKS ... [PRIVATE_LINKS ...] [TESTS ...])
# One static library per module of src/, with explicit links: an include that the module list forbids does not build,
# because the include path of a module is handed on by its target alone.
function(sutazai_module name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS;TESTS;TEST_LINKS" ${ARGN})
    set(target sutazai_${name})
    add_library(${target} STATIC ${ARG_SOURCES})
    # Each module's headers are reached as "name/file.h" through a folder that holds only that module. It is the same for
    # every build tree, so that the compiler cache serves one tree's objects to another.
    set(view ${PROJECT_SOURCE_DIR}/build/include/${name})
    if(NOT EXISTS ${view}/${name})
        file(MAKE_DIRECTORY ${view})
        file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${view}/${name} SYMBOLIC)
    endif()
    target_include_directories(${target} PUBLIC ${view})
    target_link_libraries(${target} PUBLIC sutazai_options ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
    if(ARG_TESTS)
        add_executable(${target}_test ${ARG_TESTS})
        target_link_libraries(${target}_test PRIVATE ${target} ${ARG_TEST_LINKS} GTest::gtest GTest::gtest_main)
        gtest_discover_tests(${target}_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300 LABELS unit)
    endif()
endfunction()
