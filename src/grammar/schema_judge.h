#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "base/error.h"

namespace sutazai::grammar {

/// Does a value meet a schema? For the values that `enum` and `const` name, beside other keywords. An error, in words
/// that "at <path>" has to follow, where it cannot be told.
class SchemaJudge {
  public:
    /// `root` is what references lead into; it outlives this.
    explicit SchemaJudge(const boost::json::value& root) : root_(root) {}

    [[nodiscard]] Result<bool> meets(const boost::json::value& value, const boost::json::value& schema) {
        return meets(value, schema, 0);
    }

  private:
    [[nodiscard]] Result<bool> meets(const boost::json::value& value, const boost::json::value& schema, int depth);
    [[nodiscard]] Result<bool> meets_choices(const boost::json::value& value, const boost::json::object& node,
                                             int depth);
    [[nodiscard]] Result<bool> meets_object(const boost::json::object& value, const boost::json::object& node,
                                            int depth);
    [[nodiscard]] Result<bool> meets_array(const boost::json::array& value, const boost::json::object& node, int depth);

    [[nodiscard]] Result<bool> meets_string(const boost::json::string& value, const boost::json::object& node);

    const boost::json::value& root_;
    int n_patterns_ = 0;  ///< strings that were held to a pattern or format
};

}  // namespace sutazai::grammar
