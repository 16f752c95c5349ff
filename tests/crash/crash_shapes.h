// The shapes of workloads that are crashed, by name.
#ifndef VARVE_TESTS_CRASH_CRASH_SHAPES_H_
#define VARVE_TESTS_CRASH_CRASH_SHAPES_H_

#include <vector>

#include "model/model_shape.h"

namespace varve::testing_support {

[[nodiscard]] const std::vector<ModelShape>& CrashShapes();

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_CRASH_CRASH_SHAPES_H_
