#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/fault.h"
#include "grammar/work.h"

namespace sutazai::grammar {

/// One of the schemas that a value has to meet, all together.
struct Part {
    /// The schemas that a reference or a combination was reached through.
    struct Link {
        const boost::json::value* schema;
        std::shared_ptr<const Link> before;
    };

    const boost::json::value* schema;
    std::string path;         ///< a JSON pointer, for messages
    bool any_chosen = false;  ///< a choice of its anyOf is another part
    bool one_chosen = false;  ///< the same of oneOf
    std::shared_ptr<const Link> before = {};

    [[nodiscard]] const boost::json::object& node() const { return schema->get_object(); }
};
using Parts = std::vector<Part>;

/// A child of a keyword, in the name of which it is found.
[[nodiscard]] Part child(const Part& of, const boost::json::value& schema, std::string_view keyword,
                         std::string_view name = {});

/// Of the work that it takes to look at one.
inline constexpr std::int64_t kWorkPerPart = 16;

/// Takes schemas apart into those that a value, its members and its items have to meet. Remembers the first thing in
/// the schema that it cannot keep: what comes after that is worth nothing, and so is all once the work is over.
class SchemaParts {
  public:
    /// `root` is what references lead into; both outlive this.
    SchemaParts(const boost::json::value& root, Work& work) : root_(root), work_(work) {}

    [[nodiscard]] bool failed() const { return !wrong_.empty() || work_.is_over(); }
    [[nodiscard]] const std::string& wrong() const { return wrong_; }  ///< words that follow the schema's name
    /// "uses contains at #/properties/a, which is not supported"
    void refuse(const Fault& fault, const std::string& path);
    void refuse(std::string_view what, const std::string& path);
    /// "has enum that is no array at #/properties/a"
    void refuse_wrong(std::string_view what, const std::string& path);
    void fail(std::string wrong);

    /// References and allOf taken apart. Nothing when `false` is among them.
    [[nodiscard]] std::optional<Parts> flatten(const Parts& parts);
    /// The schemas in the array that the keyword has.
    [[nodiscard]] Parts children(const Part& part, std::string_view keyword);

    /// The schemas that a member of this name has to meet.
    [[nodiscard]] static Parts of_member(const Parts& parts, std::string_view name);
    /// Those for members that no part lists.
    [[nodiscard]] static Parts of_other_members(const Parts& parts);
    struct Member {
        std::string name;
        bool is_required;
    };
    /// In the order of the schema; those that are only required come last.
    [[nodiscard]] std::vector<Member> members(const Parts& parts);
    [[nodiscard]] std::vector<std::string> required(const Parts& parts);

    /// How many first items have schemas of their own.
    [[nodiscard]] std::size_t n_first_items(const Parts& parts);
    /// The schemas that the item at this place has to meet.
    [[nodiscard]] static Parts of_item(const Parts& parts, std::size_t place);

  private:
    void check_dialect(const Part& part);

    const boost::json::value& root_;
    Work& work_;
    std::size_t n_parts_ = 0;
    std::string wrong_;
};

}  // namespace sutazai::grammar
