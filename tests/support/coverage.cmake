# Included by tests/coverage at the project. Only the library counts its branches, so that the tests are as quick as ever;
# and as it throws nothing and catches nothing, it is compiled without the paths that an exception would take through it.
cmake_language(DEFER CALL target_compile_options varve PRIVATE -O0 --coverage -fprofile-update=atomic -fno-exceptions)
cmake_language(DEFER CALL target_link_options varve PUBLIC --coverage)
