#include "text/go_value.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <type_traits>

#include "base/json_text.h"

namespace sutazai::text {
namespace {

using List = GoValue::List;
using Map = GoValue::Map;
using ListPointer = std::shared_ptr<const List>;
using MapPointer = std::shared_ptr<const Map>;

template <typename... Visitors>
struct Overloaded : Visitors... {
    using Visitors::operator()...;
};

/// As %v does: the shortest text that stands for it, with an exponent from 21 digits on.
std::string show_float(double number) {
    if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
    if (std::isnan(number)) return "NaN";
    const double size = std::abs(number);
    if (size != 0 && (size < 1e-4 || size >= 1e21)) return fmt::format("{}", number);
    std::string text = fmt::format("{}", number);
    if (text.ends_with(".0")) text.resize(text.size() - 2);
    return text.find('e') == std::string::npos ? text : fmt::format("{:.0f}", number);
}

void append_shown(std::string& out, const GoValue& value);

/// A nil within something.
void append_inner(std::string& out, const GoValue& value) {
    if (value.is_nil()) {
        out += "<nil>";
    } else {
        append_shown(out, value);
    }
}

void append_shown(std::string& out, const GoValue& value) {
    std::visit(Overloaded{
                   [&](std::monostate) { out += "<no value>"; },
                   [&](bool is) { out += is ? "true" : "false"; },
                   [&](std::int64_t number) { out += fmt::format("{}", number); },
                   [&](double number) { out += show_float(number); },
                   [&](const std::string& text) { out += text; },
                   [&](const ListPointer& items) {
                       out += '[';
                       for (const GoValue& item : *items) {
                           if (&item != items->data()) out += ' ';
                           append_inner(out, item);
                       }
                       out += ']';
                   },
                   [&](const MapPointer& map) {
                       out += map->is_struct ? "{" : "map[";
                       bool first = true;
                       for (const auto& [name, entry] : map->entries) {
                           if (!std::exchange(first, false)) out += ' ';
                           if (!map->is_struct) out += name + ":";
                           append_inner(out, entry);
                       }
                       out += map->is_struct ? '}' : ']';
                   },
               },
               value.value);
}

/// A string as json.Marshal has it, which is fit for HTML.
void append_json_text(std::string& out, const std::string& text) {
    std::string quoted;
    append_quoted(quoted, text);
    for (const char c : quoted) {
        if (c == '<' || c == '>' || c == '&') {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
            out += c;
        }
    }
}

void append_json_value(std::string& out, const GoValue& value) {
    std::visit(Overloaded{
                   [&](std::monostate) { out += "null"; },
                   [&](bool is) { out += is ? "true" : "false"; },
                   [&](std::int64_t number) { out += fmt::format("{}", number); },
                   [&](double number) { out += show_float(number); },
                   [&](const std::string& text) { append_json_text(out, text); },
                   [&](const ListPointer& items) {
                       out += '[';
                       for (const GoValue& item : *items) {
                           if (&item != items->data()) out += ',';
                           append_json_value(out, item);
                       }
                       out += ']';
                   },
                   [&](const MapPointer& map) {
                       out += '{';
                       bool first = true;
                       for (const auto& [name, entry] : map->entries) {
                           if (!std::exchange(first, false)) out += ',';
                           append_json_text(out, name);
                           out += ':';
                           append_json_value(out, entry);
                       }
                       out += '}';
                   },
               },
               value.value);
}

std::unexpected<Error> wrong(std::string message) {
    return fail(ErrorCode::kInvalidArgument, std::move(message));
}

/// Of what is made of these.
int origin_of(const std::vector<GoValue>& parts) {
    int origin = GoValue::kOfTemplate;
    for (const GoValue& part : parts) {
        if (part.origin != GoValue::kOfTemplate) origin = part.origin;
    }
    return origin;
}

// --- comparing

Result<bool> are_equal(const GoValue& a, const GoValue& b) {
    if (a.is_nil() || b.is_nil()) return a.is_nil() && b.is_nil();
    if (a.value.index() != b.value.index()) return wrong("incompatible types for comparison");
    if (std::holds_alternative<ListPointer>(a.value) || std::holds_alternative<MapPointer>(a.value)) {
        return wrong(fmt::format("non-comparable type {}", a.kind()));
    }
    return a.value == b.value;
}

Result<bool> is_less(const GoValue& a, const GoValue& b) {
    if (a.value.index() != b.value.index()) return wrong("incompatible types for comparison");
    if (const auto* number = std::get_if<std::int64_t>(&a.value)) return *number < std::get<std::int64_t>(b.value);
    if (const auto* number = std::get_if<double>(&a.value)) return *number < std::get<double>(b.value);
    if (const auto* text = std::get_if<std::string>(&a.value)) return *text < std::get<std::string>(b.value);
    return wrong("invalid type for comparison");
}

Result<GoValue> eq(const std::vector<GoValue>& arguments) {
    if (arguments.size() < 2) return wrong("missing argument for comparison");
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const auto equal = are_equal(arguments[0], arguments[i]);
        if (!equal) return std::unexpected(equal.error());
        if (*equal) return GoValue(true);
    }
    return GoValue(false);
}

enum class Order { kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

template <Order kOrder>
Result<GoValue> compare(const std::vector<GoValue>& arguments) {
    if (arguments.size() != 2) return wrong("comparison wants two arguments");
    const auto less = is_less(arguments[0], arguments[1]);
    if (!less) return std::unexpected(less.error());
    const auto equal = are_equal(arguments[0], arguments[1]);
    if (!equal) return std::unexpected(equal.error());
    switch (kOrder) {
        case Order::kLess: return GoValue(*less);
        case Order::kLessOrEqual: return GoValue(*less || *equal);
        case Order::kGreater: return GoValue(!*less && !*equal);
        case Order::kGreaterOrEqual: return GoValue(!*less);
    }
    return GoValue(false);
}

Result<GoValue> ne(const std::vector<GoValue>& arguments) {
    if (arguments.size() != 2) return wrong("ne wants two arguments");
    const auto equal = are_equal(arguments[0], arguments[1]);
    if (!equal) return std::unexpected(equal.error());
    return GoValue(!*equal);
}

// --- parts

Result<GoValue> len(const std::vector<GoValue>& arguments) {
    if (arguments.size() != 1) return wrong("len wants one argument");
    const auto& value = arguments.front().value;
    const auto size = [](std::size_t n) { return GoValue(static_cast<std::int64_t>(n)); };
    if (const auto* text = std::get_if<std::string>(&value)) return size(text->size());
    if (const auto* items = std::get_if<ListPointer>(&value)) return size((*items)->size());
    if (const auto* map = std::get_if<MapPointer>(&value)) return size((*map)->entries.size());
    return wrong(fmt::format("len of type {}", arguments.front().kind()));
}

Result<std::size_t> position(const GoValue& at, std::size_t most) {
    const auto* number = std::get_if<std::int64_t>(&at.value);
    if (number == nullptr) return wrong(fmt::format("cannot index with type {}", at.kind()));
    if (*number < 0 || static_cast<std::uint64_t>(*number) > most) {
        return wrong(fmt::format("index out of range: {}", *number));
    }
    return static_cast<std::size_t>(*number);
}

Result<GoValue> index(const std::vector<GoValue>& arguments) {
    if (arguments.empty()) return wrong("index wants an argument");
    GoValue at = arguments.front();
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        if (const auto* map = std::get_if<MapPointer>(&at.value)) {
            const auto* name = std::get_if<std::string>(&arguments[i].value);
            if (name == nullptr) return wrong("a map is indexed with a string");
            const auto found = (*map)->entries.find(*name);
            GoValue next = found == (*map)->entries.end() ? GoValue() : found->second;
            at = std::move(next);
            continue;
        }
        const auto* items = std::get_if<ListPointer>(&at.value);
        const auto* text = std::get_if<std::string>(&at.value);
        if (items == nullptr && text == nullptr) return wrong(fmt::format("can't index item of type {}", at.kind()));
        const std::size_t size = items != nullptr ? (*items)->size() : text->size();
        if (size == 0) return wrong("index out of range: 0");
        const auto place = position(arguments[i], size - 1);
        if (!place) return std::unexpected(place.error());
        GoValue next = items != nullptr ? (**items)[*place]
                                        : GoValue(std::int64_t{static_cast<unsigned char>((*text)[*place])}, at.origin);
        at = std::move(next);
    }
    return at;
}

Result<GoValue> slice(const std::vector<GoValue>& arguments) {
    if (arguments.empty() || arguments.size() > 3) return wrong("slice wants one to three arguments");
    const GoValue& whole = arguments.front();
    const auto* items = std::get_if<ListPointer>(&whole.value);
    const auto* text = std::get_if<std::string>(&whole.value);
    if (items == nullptr && text == nullptr) return wrong(fmt::format("can't slice item of type {}", whole.kind()));
    std::size_t begin = 0;
    std::size_t end = items != nullptr ? (*items)->size() : text->size();
    if (arguments.size() == 3) {
        const auto place = position(arguments[2], end);
        if (!place) return std::unexpected(place.error());
        end = *place;
    }
    if (arguments.size() >= 2) {
        const auto place = position(arguments[1], end);
        if (!place) return std::unexpected(place.error());
        begin = *place;
    }
    if (text != nullptr) return GoValue(text->substr(begin, end - begin), whole.origin);
    const auto at = [&](std::size_t i) { return (*items)->begin() + static_cast<std::ptrdiff_t>(i); };
    return GoValue::list(List(at(begin), at(end)));
}

// --- printing

Result<GoValue> print(const std::vector<GoValue>& arguments) {
    std::string out;
    bool was_text = true;
    for (const GoValue& one : arguments) {
        const bool is_text = std::holds_alternative<std::string>(one.value);
        if (!was_text && !is_text) out += ' ';
        append_inner(out, one);
        was_text = is_text;
    }
    return GoValue(std::move(out), origin_of(arguments));
}

Result<GoValue> println(const std::vector<GoValue>& arguments) {
    std::string out;
    for (const GoValue& one : arguments) {
        if (&one != arguments.data()) out += ' ';
        append_inner(out, one);
    }
    return GoValue(out + "\n", origin_of(arguments));
}

/// %5.2f and the like.
struct Verb {
    std::string flags;  // and width and precision
    char letter = 'v';
};

std::string written(const Verb& verb, const GoValue& value) {
    const auto padded = [&](const std::string& text) {
        std::string out(text.size() + 128, '\0');
        const int size = std::snprintf(out.data(), out.size(), ("%" + verb.flags + "s").c_str(), text.c_str());
        out.resize(static_cast<std::size_t>(std::max(size, 0)));
        return text.find('\0') == std::string::npos && std::cmp_less(size, text.size() + 128) ? out : text;
    };
    const auto number = [&](const std::string& format, auto its) {
        std::string out(512, '\0');
        const int size = std::snprintf(out.data(), out.size(), format.c_str(), its);
        out.resize(std::min(out.size(), static_cast<std::size_t>(std::max(size, 0))));
        return out;
    };
    const auto* whole = std::get_if<std::int64_t>(&value.value);
    const auto* real = std::get_if<double>(&value.value);
    const auto* text = std::get_if<std::string>(&value.value);
    std::string shown;
    append_inner(shown, value);
    switch (verb.letter) {
        case 'v': return padded(shown);
        case 's':
            if (whole == nullptr && real == nullptr && !std::holds_alternative<bool>(value.value)) return padded(shown);
            break;
        case 'q':
            if (text != nullptr) {
                std::string quoted;
                append_quoted(quoted, *text);
                return padded(quoted);
            }
            break;
        case 't':
            if (std::holds_alternative<bool>(value.value)) return padded(shown);
            break;
        case 'd':
        case 'x':
        case 'X':
        case 'o':
            if (whole != nullptr) return number("%" + verb.flags + "l" + verb.letter, static_cast<long>(*whole));
            break;
        case 'f':
        case 'g':
        case 'e':
            if (real != nullptr) return number("%" + verb.flags + verb.letter, *real);
            break;
        default: break;
    }
    return fmt::format("%!{}({}={})", verb.letter, value.kind(), shown);
}

Result<GoValue> printf(const std::vector<GoValue>& arguments) {
    constexpr std::size_t kMostFlags = 6;
    if (arguments.empty() || !std::holds_alternative<std::string>(arguments.front().value)) {
        return wrong("printf wants a format");
    }
    const auto& format = std::get<std::string>(arguments.front().value);
    std::string out;
    std::size_t next = 1;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%') {
            out += format[i];
            continue;
        }
        Verb verb;
        while (++i < format.size() && std::string_view("+-# 0123456789.").find(format[i]) != std::string_view::npos) {
            verb.flags += format[i];
        }
        if (verb.flags.size() > kMostFlags) return wrong("printf: a width or precision is too long");
        if (i >= format.size()) {
            out += "%!(NOVERB)";
        } else if (format[i] == '%') {
            out += '%';
        } else if (next >= arguments.size()) {
            out += fmt::format("%!{}(MISSING)", format[i]);
        } else {
            verb.letter = format[i];
            out += written(verb, arguments[next++]);
        }
    }
    return GoValue(std::move(out), origin_of(arguments));
}

// --- what Ollama adds

Result<GoValue> json(const std::vector<GoValue>& arguments) {
    if (arguments.size() != 1) return wrong("json wants one argument");
    return GoValue(arguments.front().json(), arguments.front().origin);
}

template <int kDaysAgo>
Result<GoValue> date(const std::vector<GoValue>& /*arguments*/) {
    constexpr std::time_t kDay = 24 * 60 * 60;
    const std::time_t then = std::time(nullptr) - kDaysAgo * kDay;
    std::tm day{};
    localtime_r(&then, &day);
    return GoValue(fmt::format("{:04}-{:02}-{:02}", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday));
}

/// Of parameters of tools, which there are none of here yet.
Result<GoValue> typescript_type(const std::vector<GoValue>& /*arguments*/) {
    return GoValue(std::string("any"));
}

}  // namespace

bool GoValue::is_true() const {
    return std::visit(Overloaded{
                          [](std::monostate) { return false; },
                          [](bool is) { return is; },
                          [](std::int64_t number) { return number != 0; },
                          [](double number) { return number != 0; },
                          [](const std::string& text) { return !text.empty(); },
                          [](const ListPointer& items) { return !items->empty(); },
                          [](const MapPointer& map) { return map->is_struct || !map->entries.empty(); },
                      },
                      value);
}

std::string GoValue::shown() const {
    std::string out;
    append_shown(out, *this);
    return out;
}

std::string GoValue::json() const {
    std::string out;
    append_json_value(out, *this);
    return out;
}

const char* GoValue::kind() const {
    constexpr const char* kKinds[] = {"nil", "bool", "int", "float64", "string", "[]any", "map[string]any"};
    return kKinds[value.index()];
}

GoFunction find_go_function(const std::string& name) {
    static const std::map<std::string, GoFunction> kFunctions{
        {"eq", eq},
        {"ne", ne},
        {"lt", compare<Order::kLess>},
        {"le", compare<Order::kLessOrEqual>},
        {"gt", compare<Order::kGreater>},
        {"ge", compare<Order::kGreaterOrEqual>},
        {"len", len},
        {"index", index},
        {"slice", slice},
        {"print", print},
        {"println", println},
        {"printf", printf},
        {"json", json},
        {"currentDate", date<0>},
        {"yesterdayDate", date<1>},
        {"toTypeScriptType", typescript_type},
    };
    const auto found = kFunctions.find(name);
    return found == kFunctions.end() ? nullptr : found->second;
}

}  // namespace sutazai::text
