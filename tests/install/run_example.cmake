# Runs the example of WORK/build on a copy of the stories model; its text must be the reference's.
set(model ${DATA}/models/stories260K.f32.gguf)
set(reference ${DATA}/models/stories260K.greedy200.llama2c.txt)
if(NOT EXISTS ${model})
  message("skipped: ${model} is not here")
  return()
endif()

file(COPY ${model} DESTINATION ${WORK})
execute_process(
  COMMAND ${WORK}/build/minimal ${WORK}/stories260K.f32.gguf "Once upon a time"
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the example ended with ${status}: ${errors}")
endif()
string(STRIP "Once upon a time${output}" text)
string(LENGTH "${text}" length)
file(READ ${reference} expected)
string(FIND "${expected}" "${text}" place)
if(length LESS 100 OR NOT place EQUAL 0)
  message(FATAL_ERROR "the example printed\n${text}\nand not the beginning of\n${expected}")
endif()
