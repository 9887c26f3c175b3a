# Compiler flags that every room shares. Warnings are errors; presets choose sanitizers and hardening.
option(BW_TESTS "build the tests" ON)
set(BW_SANITIZE "" CACHE STRING "comma-separated sanitizers: address,undefined or thread")
option(BW_FUZZ "build the libFuzzer targets (clang)" OFF)
option(BW_COVERAGE "measure coverage" OFF)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2
  -Wpointer-arith -Wwrite-strings -Werror -fno-common -fno-strict-aliasing)

if(BW_SANITIZE)
  add_compile_options(-fsanitize=${BW_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BW_SANITIZE})
endif()
if(BW_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
if(BW_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_definitions(_FORTIFY_SOURCE=2)
  add_compile_options(-fstack-protector-strong -fPIE -fstack-clash-protection)
  add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Objects that can be optimised across files at link time, by whoever asks for it (-flto), or linked as usual.
    add_compile_options(-flto -ffat-lto-objects)
    add_link_options(-fno-lto)
  endif()
endif()
