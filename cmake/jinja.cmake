# llama.cpp's template engine once more, with patches/jinja.patch (decisions/0024-templates.md): a few files of the pinned
# source are copied into build/, patched and compiled under another name beside llama.cpp's own.
#
# The target sutazai::jinja is what src/llama renders chats with: #include "patched/jinja/runtime.h", under the macros that
# it brings along.

set(jinja_patch ${PROJECT_SOURCE_DIR}/patches/jinja.patch)
set(jinja_root ${PROJECT_SOURCE_DIR}/build/patched)  # the same for every preset, as the compiler cache likes it
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${jinja_patch})
file(SHA256 ${jinja_patch} jinja_stamp)
file(GLOB jinja_files ${llama_source}/common/jinja/*.cpp ${llama_source}/common/jinja/*.h)
foreach(file ${jinja_files})
    file(SHA256 ${file} hash)
    string(APPEND jinja_stamp " ${hash}")
endforeach()
set(jinja_stamp_old)
if(EXISTS ${jinja_root}/patched/stamp)
    file(READ ${jinja_root}/patched/stamp jinja_stamp_old)
endif()
if(NOT jinja_stamp STREQUAL jinja_stamp_old)
    find_package(Git REQUIRED)
    file(REMOVE_RECURSE ${jinja_root})
    file(COPY ${jinja_files} DESTINATION ${jinja_root}/patched/jinja)
    # Git must not take the folder for a part of this repository, whose files it would look for.
    execute_process(COMMAND ${CMAKE_COMMAND} -E env GIT_CEILING_DIRECTORIES=${jinja_root}
                            ${GIT_EXECUTABLE} apply --whitespace=nowarn ${jinja_patch}
                    WORKING_DIRECTORY ${jinja_root}/patched RESULT_VARIABLE failed ERROR_VARIABLE why)
    if(failed OR NOT EXISTS ${jinja_root}/patched/jinja/limits.h)
        message(FATAL_ERROR "patches/jinja.patch does not fit the template engine of this llama.cpp: ${why}\n"
                            "Without it, a message's text could become control tokens and a template could run for "
                            "ever. Adapt the patch; src/llama/jinja_template_test.cpp tells whether it still works.")
    endif()
    file(WRITE ${jinja_root}/patched/stamp "${jinja_stamp}")
endif()

list(TRANSFORM jinja_files REPLACE "^.*/" "${jinja_root}/patched/jinja/")
list(FILTER jinja_files INCLUDE REGEX "\\.cpp$")
add_library(sutazai_jinja STATIC ${jinja_files})
add_library(sutazai::jinja ALIAS sutazai_jinja)
target_include_directories(sutazai_jinja BEFORE PRIVATE ${jinja_root}/patched)
target_include_directories(sutazai_jinja SYSTEM INTERFACE ${jinja_root})
target_link_libraries(sutazai_jinja PUBLIC sutazai::llamacpp)
target_compile_definitions(sutazai_jinja PRIVATE jinja=sutazai_jinja g_jinja_debug=sutazai_jinja_debug)
target_compile_options(sutazai_jinja PRIVATE -w)
