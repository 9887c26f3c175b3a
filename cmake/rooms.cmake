# A room is one folder under src/ and one static library bw_<room>. A room compiles only against the headers
# of the rooms it names: each room's headers are reachable through an include directory of its own, which
# holds nothing but a link to that room, so an include that the architecture forbids does not compile.
#
#   bw_room(policy SEES base yaml LINKS PkgConfig::JANSSON [SOURCES extra.c])
set(BW_ROOM_INCLUDES ${CMAKE_BINARY_DIR}/rooms)

function(bw_room name)
  cmake_parse_arguments(arg "" "" "SEES;LINKS;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  list(APPEND sources ${arg_SOURCES})
  set(include_dir ${BW_ROOM_INCLUDES}/${name})
  file(MAKE_DIRECTORY ${include_dir})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${include_dir}/${name} SYMBOLIC)
  if(sources)
    add_library(bw_${name} STATIC ${sources})
    set(visibility PUBLIC)
  else() # headers only
    add_library(bw_${name} INTERFACE)
    set(visibility INTERFACE)
  endif()
  target_include_directories(bw_${name} ${visibility} ${include_dir})
  foreach(seen IN LISTS arg_SEES)
    target_link_libraries(bw_${name} ${visibility} bw_${seen})
  endforeach()
  target_link_libraries(bw_${name} ${visibility} ${arg_LINKS})
endfunction()

# A program: bw_program(bailiwickd SOURCES main.c LINKS bw_server). `programs` builds them and nothing else.
add_custom_target(programs)
function(bw_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINKS})
  add_dependencies(programs ${name})
endfunction()

# Every test_*.c of a folder is one cmocka program: bw_unit_tests(policy LINKS bw_policy). Programs land in
# bin/tests/ and the runner (tests/run) executes whatever it finds there.
function(bw_unit_tests room)
  cmake_parse_arguments(arg "" "" "LINKS;SOURCES" ${ARGN})
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.c)
  foreach(source IN LISTS tests)
    get_filename_component(base ${source} NAME_WE)
    string(REPLACE "test_" "" subject ${base})
    set(target unit_${room}_${subject})
    add_executable(${target} ${source} ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE bw_${room} bw_test ${arg_LINKS})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
    target_compile_definitions(${target} PRIVATE BW_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  endforeach()
endfunction()

# A benchmark lands in bin/bench/; tests/bench/list.txt says which figures it prints.
#   bw_bench(decide SOURCES decide.c LINKS bw_placement)
add_custom_target(benches)
function(bw_bench name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(bench_${name} ${arg_SOURCES})
  target_link_libraries(bench_${name} PRIVATE ${arg_LINKS})
  set_target_properties(bench_${name} PROPERTIES OUTPUT_NAME ${name}
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/bench)
  target_compile_definitions(bench_${name} PRIVATE BW_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_dependencies(benches bench_${name})
endfunction()

# A fuzz target is a file with LLVMFuzzerTestOneInput. The preset `fuzz` makes it a libFuzzer program in
# bin/fuzz/; every other preset makes it a test that replays tests/fuzz/corpus/<name>/, so a crash found once
# stays found.
#   bw_fuzz_target(yaml SOURCES yaml.c LINKS bw_yaml)
function(bw_fuzz_target name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  if(BW_FUZZ)
    add_executable(fuzz_${name} ${arg_SOURCES})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(fuzz_${name} PROPERTIES OUTPUT_NAME ${name}
                          RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/fuzz)
  else()
    add_executable(fuzz_${name} ${arg_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
    set_target_properties(fuzz_${name} PROPERTIES OUTPUT_NAME fuzz_replay_${name}
                          RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
    target_compile_definitions(fuzz_${name} PRIVATE
                               BW_FUZZ_CORPUS="${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  endif()
  target_link_libraries(fuzz_${name} PRIVATE ${arg_LINKS})
endfunction()
