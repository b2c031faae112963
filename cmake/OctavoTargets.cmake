# The language, the warnings, and the three kinds of target the project has: layers, tests, fuzzers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(octavo_flags INTERFACE)
# -ffp-contract=off: a compiler that fuses a*b+c where it likes would change the bits of a result from
# one build to the next. Fused multiply-adds are written out where they are wanted.
# -Wno-missing-field-initializers: designated initialisers leave the other fields at their defaults.
set(octavo_cxx_flags
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Werror
  -Wno-missing-field-initializers
  -ffp-contract=off)
target_compile_options(octavo_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${octavo_cxx_flags}>")
if(OCTAVO_SANITIZE)
  add_compile_options(-fsanitize=${OCTAVO_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${OCTAVO_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++'s manual: with sanitizers these warnings have false positives (std::variant is one, the
    # frames of coroutines that are large are another). Asio's fences, which tsan does not know,
    # stand beside mutexes, which it does.
    target_compile_options(octavo_flags INTERFACE -Wno-maybe-uninitialized
      -Wno-mismatched-new-delete -Wno-tsan)
  elseif(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 17)
    # Older clangs cannot compile coroutines with this one (llvm-project issue 49689).
    add_compile_options(-fno-sanitize=function)
  endif()
endif()

include(GNUInstallDirs)

# octavo_layer(name SOURCES a.cpp ... NEEDS target ...): the static library octavo_<name> of src/<name>.
function(octavo_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;NEEDS" ${ARGN})
  add_library(octavo_${name} STATIC ${LAYER_SOURCES})
  target_include_directories(octavo_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(octavo_${name} PUBLIC ${LAYER_NEEDS} PRIVATE $<BUILD_INTERFACE:octavo_flags>)
  set_property(GLOBAL APPEND PROPERTY OCTAVO_LAYERS octavo_${name})
endfunction()

# octavo_test(name SOURCES a_test.cpp ... NEEDS target ...): one GoogleTest program, one CTest entry a case.
function(octavo_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;NEEDS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE
    OCTAVO_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data"
    OCTAVO_SHARED_DATA="${PROJECT_SOURCE_DIR}/../shared/data")
  target_link_libraries(${name} PRIVATE octavo_flags ${TEST_NEEDS} GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endfunction()
include(GoogleTest)
