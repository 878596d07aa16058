#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sutazai::store {

/// "q4_k_m" in whatever case is "Q4_K_M"; nothing for what weights cannot be quantised to here. F16, BF16 and F32 are
/// such names too.
[[nodiscard]] std::optional<std::string> quantisation_named(std::string_view name);

/// All of them, for a message.
[[nodiscard]] std::string quantisation_names();

/// May weights of this file type be quantised? Only those that have lost nothing yet: F32, F16 and BF16.
[[nodiscard]] bool is_unquantised(std::string_view file_type);

}  // namespace sutazai::store
