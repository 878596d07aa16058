# Copies the file FROM into the folder TO, when it exists and differs.
if(EXISTS ${FROM})
    file(COPY ${FROM} DESTINATION ${TO})
endif()
