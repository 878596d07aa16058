#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

/// The parameters that a model may be created with: those of ollama_layers.h, and those that say how to load or
/// compute, which are Ollama's own affair and are kept for it. Pure.
namespace sutazai::catalog {

/// Options of a request, and parameters of a model, that change no answer here: how to load, how to compute, what to do
/// where this server never gets (num_keep is about contexts that overflow), and settings of methods that are refused
/// themselves.
inline constexpr auto kIdleOllamaOptions = std::to_array<std::string_view>(
    {"draft_num_predict", "f16_kv", "low_vram", "main_gpu", "mirostat_eta", "mirostat_tau", "num_batch", "num_gpu",
     "num_keep", "num_thread", "numa", "penalize_newline", "use_mlock", "use_mmap"});

/// kInvalidArgument, naming the parameter and what it may be, for one that is not known, not supported or out of range.
/// Otherwise the value as it is to be kept: whole numbers are whole, "stop" is a list.
[[nodiscard]] Result<boost::json::value> check_ollama_parameter(std::string_view name, const boost::json::value& value);

/// The same of a Modelfile's text.
[[nodiscard]] Result<boost::json::value> parse_ollama_parameter(std::string_view name, std::string_view text);

/// A parameter that is said again takes the place of what was there; a "stop" is one more.
[[nodiscard]] Result<void> add_ollama_parameter(boost::json::object& parameters, std::string_view name,
                                                std::string_view text);

/// As in a Modelfile, a line for each value: name and value.
[[nodiscard]] std::string parameter_lines(const boost::json::object& parameters, std::string_view prefix);

}  // namespace sutazai::catalog
