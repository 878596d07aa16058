# cmake -D LD=.. -D NM=.. -D OBJCOPY=.. -D OUTPUT=.. -D ENTRY=.. -D OBJECTS=.. -D LIBRARY=.. -P join_level.cmake
# Joins the objects of one level of processor, and all of its library, into one in which ENTRY is the only symbol that others
# see (level_parts.h).
function(run)
    execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(joined ${OUTPUT}.joined)
run(${LD} -r --force-group-allocation -o ${joined} ${OBJECTS} --whole-archive ${LIBRARY})

# objcopy leaves unique symbols (static variables of inline functions) as they are, but makes weak ones local. What is
# undefined must stay strong, or the last link would leave it null where nothing else asks for it.
execute_process(COMMAND ${NM} --defined-only ${joined} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL " u [^\n]+" unique "${symbols}")
list(TRANSFORM unique REPLACE "^ u " "--weaken-symbol=")
if(unique)
    run(${OBJCOPY} ${unique} ${joined})
endif()
run(${OBJCOPY} --keep-global-symbol=${ENTRY} ${joined} ${OUTPUT})
file(REMOVE ${joined})

execute_process(COMMAND ${NM} --extern-only --defined-only ${OUTPUT} OUTPUT_VARIABLE seen COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" seen "${seen}")
if(NOT seen MATCHES "^[0-9a-f]+ T ${ENTRY}$")
    message(FATAL_ERROR "${OUTPUT}: more than ${ENTRY} can be seen: ${seen}")
endif()
