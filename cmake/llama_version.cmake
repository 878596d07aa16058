# sutazai_llama_version(SOURCE TAG OUT): what tells the llama.cpp in SOURCE from any other whose KV states might differ.
# The pinned release is its TAG. A checkout given with SUTAZAI_LLAMA_SOURCE is the tag and a hash of its code, so that
# states of one are never taken for another's; cmake runs again when a file of it changes.
function(sutazai_llama_version source tag out)
    file(GLOB_RECURSE files LIST_DIRECTORIES false RELATIVE ${source}
        ${source}/include/* ${source}/src/* ${source}/ggml/include/* ${source}/ggml/src/*)
    list(SORT files)
    set(all "")
    foreach(file ${files})
        file(SHA256 ${source}/${file} hash)
        string(APPEND all "${file} ${hash}\n")
    endforeach()
    string(SHA256 hash "${all}")
    string(SUBSTRING ${hash} 0 12 hash)
    set(${out} ${tag}+${hash} PARENT_SCOPE)
    if(NOT CMAKE_SCRIPT_MODE_FILE)
        list(TRANSFORM files PREPEND ${source}/)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
    endif()
endfunction()
