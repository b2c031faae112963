// Calls a template for a type that is known when the program runs: the one switch over the
// quantised types.
#pragma once

#include "base/dtype.h"

namespace octavo::cuda {

// body.template operator()<type>() for a quantised type.
template <class Body>
void for_quantized_type(DType type, Body&& body) {
  switch (type) {
    case DType::q4_0:
      return body.template operator()<DType::q4_0>();
    case DType::q4_1:
      return body.template operator()<DType::q4_1>();
    case DType::q5_0:
      return body.template operator()<DType::q5_0>();
    case DType::q5_1:
      return body.template operator()<DType::q5_1>();
    case DType::q8_0:
      return body.template operator()<DType::q8_0>();
    case DType::q2_k:
      return body.template operator()<DType::q2_k>();
    case DType::q3_k:
      return body.template operator()<DType::q3_k>();
    case DType::q4_k:
      return body.template operator()<DType::q4_k>();
    case DType::q5_k:
      return body.template operator()<DType::q5_k>();
    case DType::q6_k:
      return body.template operator()<DType::q6_k>();
    case DType::iq4_nl:
      return body.template operator()<DType::iq4_nl>();
    case DType::iq4_xs:
      return body.template operator()<DType::iq4_xs>();
    case DType::mxfp4:
      return body.template operator()<DType::mxfp4>();
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return;
  }
}

}  // namespace octavo::cuda
