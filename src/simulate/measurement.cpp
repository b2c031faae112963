#include "simulate/measurement.h"

namespace octavo::simulate {
namespace {

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

}  // namespace

void Meter::add(const Step& step) {
  seconds_ += step.seconds;
  tokens_ += step.seconds * static_cast<double>(step.slots.tokens);
  reserved_ += step.seconds * static_cast<double>(step.slots.reserved);
  never_used_ += step.seconds * static_cast<double>(step.slots.never_used);
  rest_ += step.seconds * static_cast<double>(step.slots.rest);
  shared_ += step.seconds * static_cast<double>(step.shared_slots);
  requests_ += step.seconds * step.requests;
  new_tokens_ += step.new_tokens;
}

void Meter::average(Measurement& measurement) const {
  const double taken = tokens_ + reserved_ + never_used_;
  const double all = taken + rest_;
  measurement.tokens = share(tokens_, all);
  measurement.reserved = share(reserved_, all);
  measurement.never_used = share(never_used_, all);
  measurement.rest = share(rest_, all);
  measurement.tokens_of_taken = share(tokens_, taken);
  measurement.saved_by_sharing = share(shared_, taken + shared_);
  measurement.batch_requests = share(requests_, seconds_);
  measurement.output_tokens_per_s = share(static_cast<double>(new_tokens_), seconds_);
}

}  // namespace octavo::simulate
