#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "grammar/fault.h"
#include "grammar/work.h"

namespace sutazai::grammar {

/// Does a value meet a schema? For the values that `enum` and `const` name, beside other keywords. A fault
/// where it cannot be told.
class SchemaJudge {
  public:
    /// `root` is what references lead into; both outlive this. What is said once the work is over is worth nothing.
    SchemaJudge(const boost::json::value& root, Work& work) : root_(root), work_(work) {}

    [[nodiscard]] Checked<bool> meets(const boost::json::value& value, const boost::json::value& schema) {
        return meets(value, schema, 0);
    }

  private:
    [[nodiscard]] Checked<bool> meets(const boost::json::value& value, const boost::json::value& schema, int depth);
    [[nodiscard]] Checked<bool> meets_choices(const boost::json::value& value, const boost::json::object& node,
                                              int depth);
    [[nodiscard]] Checked<bool> meets_object(const boost::json::object& value, const boost::json::object& node,
                                             int depth);
    [[nodiscard]] Checked<bool> meets_array(const boost::json::array& value, const boost::json::object& node,
                                            int depth);

    [[nodiscard]] Checked<bool> meets_string(const boost::json::string& value, const boost::json::object& node);

    const boost::json::value& root_;
    Work& work_;
    int n_patterns_ = 0;  ///< strings that were held to a pattern or format
};

}  // namespace sutazai::grammar
