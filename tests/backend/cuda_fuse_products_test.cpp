// Which products turn and store, or gate, what they compute. Nothing is launched: no GPU is needed.
#include "backend/cuda/fuse_products.h"

#include <gtest/gtest.h>

#include "backend/cuda/few_rows.h"
#include "backend/cuda/row_kernels.h"
#include "backend/tensor.h"

namespace octavo::cuda {
namespace {

constexpr int64_t kRows = 3;

class CudaFuseProducts : public ::testing::Test {
 protected:
  // Notes a product that computes these tensors.
  void note(std::initializer_list<Tensor> outputs, int64_t rows = kRows) {
    FewRowsArgs args = {};
    for (const Tensor& out : outputs) {
      args.parts[args.count].out = out.data;
      args.parts[args.count++].weight.rows = out.columns;
    }
    args.rows = rows;
    tape_.add(launch_few_rows, args);
  }
  void note_something_else() { tape_.add(launch_add, AddArgs{}); }

  bool turns(int32_t head_dim = 64) {
    RopeStoreArgs rope = {};
    rope.q = q_.data;
    rope.k = k_.data;
    rope.v = v_.data;
    rope.tokens = kRows;
    rope.heads = static_cast<int32_t>(q_.columns / head_dim);
    rope.kv_heads = static_cast<int32_t>(k_.columns / head_dim);
    rope.head_dim = head_dim;
    return fuse_rope(tape_, rope);
  }
  // Whether the product that was noted last but `back` entries turns what it computes.
  bool is_turned(size_t back) {
    return tape_.amend(back, launch_few_rows,
                       [](const FewRowsArgs& args) { return args.rope.head_dim > 0; });
  }

  Tape tape_{nullptr};
  float values_[4] = {};
  Tensor q_{&values_[0], kRows, 256};
  Tensor k_{&values_[1], kRows, 128};
  Tensor v_{&values_[2], kRows, 128};
  Tensor other_{&values_[3], kRows, 128};
};

TEST_F(CudaFuseProducts, JoinsTheProductsOfQAndKAndV) {
  note({q_, k_, v_});
  EXPECT_TRUE(turns());
  EXPECT_TRUE(is_turned(0));
  EXPECT_FALSE(turns()) << "a second time";
  note({q_, k_});
  note({v_});
  EXPECT_TRUE(turns());
  EXPECT_TRUE(is_turned(0));
  EXPECT_TRUE(is_turned(1));
  note({k_});
  note({v_});
  note({q_});
  EXPECT_TRUE(turns());
  EXPECT_TRUE(is_turned(0));
  EXPECT_TRUE(is_turned(1));
  EXPECT_TRUE(is_turned(2));
}

TEST_F(CudaFuseProducts, StaysApartFromOtherProducts) {
  EXPECT_FALSE(turns()) << "nothing before it";
  note({q_, k_});
  note_something_else();
  note({v_});
  EXPECT_FALSE(turns()) << "something in between";
  EXPECT_FALSE(is_turned(0));
  EXPECT_FALSE(is_turned(2));
  note({q_, k_});
  note({k_, v_});
  EXPECT_FALSE(turns()) << "k twice";
  note({q_, k_});
  note({other_, v_});
  EXPECT_FALSE(turns()) << "another part";
  note({q_, k_, Tensor{v_.data, kRows, 64}});
  EXPECT_FALSE(turns()) << "fewer outputs";
  note({q_, k_, v_}, kRows - 1);
  EXPECT_FALSE(turns()) << "fewer rows";
  note({q_, k_, v_});
  EXPECT_FALSE(turns(1)) << "no pairs in a head";
  EXPECT_TRUE(turns());
}

TEST_F(CudaFuseProducts, GatesTheProductsOfAGateAndWhatItScales) {
  const auto gates = [this](Tensor gate, Tensor up) {
    return fuse_gate(tape_, gate, up, Activation::gelu_tanh);
  };
  EXPECT_FALSE(gates(k_, v_)) << "nothing before it";
  note({k_, v_});
  EXPECT_FALSE(gates(v_, k_)) << "the other way round";
  EXPECT_TRUE(gates(k_, v_));
  EXPECT_FALSE(gates(k_, v_)) << "a second time";
  EXPECT_TRUE(tape_.amend(0, launch_few_rows, [](const FewRowsArgs& args) {
    return args.gating == Gating::gelu_tanh;
  }));
  note({k_, v_, other_});
  EXPECT_FALSE(gates(k_, v_)) << "something else too";
  note({k_});
  note({v_});
  EXPECT_FALSE(gates(k_, v_)) << "two launches";
  note({k_, v_});
  note_something_else();
  EXPECT_FALSE(gates(k_, v_)) << "something in between";
  note({k_, v_}, kRows - 1);
  EXPECT_FALSE(gates(k_, v_)) << "fewer rows";
  note({k_, Tensor{v_.data, kRows, 64}});
  EXPECT_FALSE(gates(k_, v_)) << "fewer outputs";
  note({k_, v_});
  tape_.amend_last(launch_few_rows, [](FewRowsArgs& args) {
    args.parts[0].weight.chunks = kLongRow;
    return true;
  });
  EXPECT_FALSE(gates(k_, v_)) << "long rows";
}

}  // namespace
}  // namespace octavo::cuda
