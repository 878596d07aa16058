#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

/// The parameters that a model may be created with: those of ollama_layers.h, and those that say how to load or
/// compute, which are Ollama's own affair and are kept for it. Pure.
namespace sutazai::catalog {

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
