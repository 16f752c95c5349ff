# varve_precompile(TARGET HEADER...): the heavy headers that most files of a target include, compiled once, which halves the
# time a build takes. Only where varve is built for itself: a host's build compiles every file with nothing but what it
# includes. That nothing is missing then is checked by tests/repo/standard_includes.py.
option(VARVE_PRECOMPILE_HEADERS "Compile the headers that most files share once" ${PROJECT_IS_TOP_LEVEL})
function(varve_precompile target)
  if(VARVE_PRECOMPILE_HEADERS)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()
