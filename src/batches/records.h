#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/openai_batches.h"
#include "api/openai_files.h"

/// What is kept of files and batches.
namespace sutazai::batches {

using api::openai::BatchCounts;
using api::openai::BatchEndpoint;
using api::openai::BatchError;
using api::openai::BatchObject;
using api::openai::BatchStatus;
using api::openai::BatchUsage;
using api::openai::FileObject;

/// Seconds of Unix.
using UnixTime = std::int64_t;

struct BatchRecord {
    std::int64_t number = 0;  ///< within the store; later ones are higher
    std::string tenant;
    std::int64_t output_expires_after_s = 0;  ///< 0: as the server has it
    BatchObject object;
};

/// A line of an input file that is to be run.
struct LineRecord {
    std::int64_t number = 0;  ///< in the file, from 1
    std::string custom_id;
    std::string model;  ///< empty: the default one
    std::string sort_key;
    std::uint64_t offset = 0;  ///< in the input file
    std::uint64_t bytes = 0;   ///< without its end
};

/// Where a line's answer stands in the batch's file of results.
struct LineResult {
    std::int64_t number = 0;
    bool succeeded = false;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    BatchUsage usage = {};
};

/// One line's place in what is given out: its result, or that it has none.
struct LineOutcome {
    std::int64_t number = 0;
    std::string custom_id;
    bool answered = false;
    LineResult result = {};
};

template <typename T>
struct Page {
    std::vector<T> items;
    bool has_more = false;
};

}  // namespace sutazai::batches
