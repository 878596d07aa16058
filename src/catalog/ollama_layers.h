#pragma once

#include <string_view>

#include "base/error.h"
#include "catalog/model_profile.h"

/// What the JSON blobs of an Ollama model say, into a profile. Pure. kLoadFailed for what is no such JSON.
namespace sutazai::catalog {

/// In the config of a model that was made here: its template is to be used in place of its file's own. Ollama reads
/// over it, and always uses a template that a model comes with.
inline constexpr std::string_view kTemplateIsChosen = "sutazai_template";

/// The config: a description, and whether the weights are GGUF at all.
[[nodiscard]] Result<void> take_ollama_config(std::string_view text, ModelProfile& profile);

/// Where no layer has a template: what is known to do as well as the code of Ollama that the config names. After all
/// layers.
void take_renderer_template(ModelProfile& profile);

/// The parameters of a Modelfile: temperature, top_k, top_p, min_p, repeat_penalty, presence_penalty,
/// frequency_penalty, seed, num_predict, stop, num_ctx. Those that are no matter of one request (num_gpu, num_thread
/// and the like), and values that a request may not have either, count as not said.
[[nodiscard]] Result<void> take_ollama_params(std::string_view text, ModelProfile& profile);

/// A list of {"role", "content"}.
[[nodiscard]] Result<void> take_ollama_messages(std::string_view text, ModelProfile& profile);

}  // namespace sutazai::catalog
