# Packages of Debian 12. `make deps` (scripts/install-deps.sh) installs every one of them.

set(SUTAZAI_DEPS_HINT "Run 'make deps' to install every package that the build needs.")
macro(sutazai_find package)
    find_package(${package} ${ARGN} QUIET)
    if(NOT ${package}_FOUND)
        message(FATAL_ERROR "The package ${package} ${ARGN} was not found. ${SUTAZAI_DEPS_HINT}")
    endif()
endmacro()

find_package(Threads REQUIRED)
set(Boost_NO_WARN_NEW_VERSIONS ON)
find_package(Boost 1.81 QUIET COMPONENTS json url)
if(NOT Boost_FOUND)
    message(FATAL_ERROR "Boost 1.81 with its JSON and URL libraries was not found. ${SUTAZAI_DEPS_HINT}")
endif()
sutazai_find(Protobuf 3.21)
sutazai_find(spdlog)
sutazai_find(fmt)
sutazai_find(CLI11)
sutazai_find(GTest)
sutazai_find(prometheus-cpp)
sutazai_find(OpenSSL)
sutazai_find(ZLIB)
sutazai_find(CURL)
sutazai_find(SQLiteCpp)
sutazai_find(Python3 COMPONENTS Interpreter)
sutazai_find(tomlplusplus)
# Its headers alone: the binary needs no library of it.
get_target_property(toml_include tomlplusplus::tomlplusplus INTERFACE_INCLUDE_DIRECTORIES)
add_library(sutazai_toml INTERFACE)
add_library(sutazai::toml ALIAS sutazai_toml)
target_include_directories(sutazai_toml SYSTEM INTERFACE ${toml_include})
# Debian's packages of these two have no CMake configuration.
foreach(library zstd xxhash)
    find_library(SUTAZAI_${library} ${library})
    find_path(SUTAZAI_${library}_INCLUDE ${library}.h)
    if(NOT SUTAZAI_${library} OR NOT SUTAZAI_${library}_INCLUDE)
        message(FATAL_ERROR "The library ${library} was not found. ${SUTAZAI_DEPS_HINT}")
    endif()
    add_library(sutazai::${library} UNKNOWN IMPORTED)
    set_target_properties(sutazai::${library} PROPERTIES IMPORTED_LOCATION ${SUTAZAI_${library}}
                          INTERFACE_INCLUDE_DIRECTORIES ${SUTAZAI_${library}_INCLUDE})
endforeach()

# What Asio and Beast would otherwise compile again in every source that includes them: a fifth of the time of such a
# source. Whoever includes either links this.
add_library(sutazai_beast STATIC ${CMAKE_CURRENT_LIST_DIR}/beast.cpp)
add_library(sutazai::beast ALIAS sutazai_beast)
target_link_libraries(sutazai_beast PUBLIC Boost::headers Threads::Threads PRIVATE sutazai_options)
target_compile_definitions(sutazai_beast PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)

include(GoogleTest)
