// Everything public, in one include: #include <attend/attend.hpp>
#pragma once

#include <attend/base/dtype.hpp>
#include <attend/base/error.hpp>
#include <attend/base/thread_pool.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/random.hpp>
#include <attend/tensor/shape.hpp>
#include <attend/tensor/storage.hpp>
#include <attend/tensor/tape.hpp>
#include <attend/tensor/tensor.hpp>
#include <attend/tensor/weight.hpp>
