# Runs the example of WORK/build on the demonstration model; its text must be the one that the program prints.
set(text "Once upon a time")
file(WRITE ${WORK}/prompt.jsonl "{\"prompt\": \"${text}\"}\n")
execute_process(
  COMMAND ${WORK}/build/minimal ${MODEL} ${text}
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the example ended with ${status}: ${errors}")
endif()
execute_process(
  COMMAND ${PROGRAM} generate ${MODEL} --prompts ${WORK}/prompt.jsonl --temperature 0 --max-tokens 64
  RESULT_VARIABLE status OUTPUT_VARIABLE line ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the program ended with ${status}: ${errors}")
endif()
string(JSON expected GET ${line} outputs 0 text)
string(LENGTH "${output}" length)
if(length LESS 100 OR NOT output STREQUAL "${expected}\n")
  message(FATAL_ERROR "the example printed\n${output}\nand the program\n${expected}")
endif()
