#pragma once

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gguf/outline.h"

namespace sutazai::llama {

/// What of a file is needed when some of its tensors are not: its head and all other tensors, ordered, joined where
/// little lies between them. Pure.
[[nodiscard]] std::vector<gguf::Range> ranges_besides(const gguf::Outline& outline,
                                                      const std::set<std::string>& spared);

/// While it lives, files that this thread maps are not read as a whole (patch 0004). What the model's files have
/// besides the spared tensors is read ahead, in the background and in the order in which it lies there. One thread.
class ReadAhead {
  public:
    ReadAhead(const std::string& model, std::set<std::string> spared);
    ~ReadAhead();
    ReadAhead(const ReadAhead&) = delete;
    ReadAhead& operator=(const ReadAhead&) = delete;

  private:
    std::jthread reader_;
};

}  // namespace sutazai::llama
