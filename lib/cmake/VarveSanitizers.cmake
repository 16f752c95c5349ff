# Builds the library and all that stands beside it with the sanitizers of VARVE_SANITIZE. The first report ends a test.
# With fuzzer-no-link, by clang, it tells libFuzzer what an input reaches (tests/fuzz).
if(VARVE_SANITIZE)
  list(JOIN VARVE_SANITIZE "," sanitizers)
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${sanitizers})
  # Clang's check of an object's type needs a pipe, which tests that use up all descriptors have not.
  if("undefined" IN_LIST VARVE_SANITIZE AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    add_compile_options(-fno-sanitize=vptr)
  endif()
  # The thread sanitizer does not see fences; what they order here are relaxed atomics, which are no data races anyway.
  if("thread" IN_LIST VARVE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)
  endif()
endif()
