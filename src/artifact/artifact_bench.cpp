#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "artifact/store.h"
#include "artifact/testing/test_blocks.h"
#include "artifact/weights_digest.h"
#include "base/digest.h"

/// How quick artifacts are: artifact_bench FOLDER [BLOCKS [BYTES]]. One line a figure; works in a folder of its own
/// below FOLDER and removes it.
namespace {

using namespace sutazai::artifact;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void say(const char* what, double bytes, double seconds, std::size_t n) {
    fmt::print("{:<34} {:8.0f} MB/s {:9.3f} ms each\n", what, bytes / seconds / 1e6,
               1000 * seconds / static_cast<double>(n));
}

template <typename Work>
void measure(const char* what, std::size_t n, double bytes_each, Work work) {
    const auto start = Clock::now();
    for (std::size_t i = 0; i < n; ++i) work(i);
    say(what, static_cast<double>(n) * bytes_each, seconds_since(start), n);
}

[[noreturn]] void give_up(const std::string& why) {
    fmt::print(stderr, "artifact_bench: {}\n", why);
    std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) give_up("artifact_bench FOLDER [BLOCKS [BYTES]]");
    const std::size_t n = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100;
    const std::size_t bytes = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 3'150'000;
    const testing::TempFolder folder(argv[1]);
    const Fingerprint fingerprint(testing::parts_of());
    const auto now = testing::at(testing::kNow);
    const auto payload = testing::random_bytes(bytes, 1);
    std::vector<BlockInfo> infos;
    for (std::size_t i = 0; i < n; ++i)
        infos.push_back(testing::single(fingerprint, static_cast<int>(i), kBlockTokens));
    const auto size = static_cast<double>(bytes);

    measure("XXH3 of a payload", n, size, [&](std::size_t) { (void)xxh3(payload); });
    measure("SHA-256 of a payload", n, size, [&](std::size_t) { (void)sutazai::sha256(payload); });
    measure("name of a block (of its tokens)", n, kBlockTokens * sizeof(Token),
            [&](std::size_t i) { (void)chain_hash(infos[i].parent, infos[i].tokens); });
    measure("encode, compression tried", n, size, [&](std::size_t i) {
        if (!encode_block(infos[i], payload, Compression::kWhenItPays)) give_up("encode");
    });

    StoreOptions options;
    options.folder = folder.path() / "artifacts";
    options.reserve_bytes = 0;
    auto store = ArtifactStore::open(options, fingerprint);
    if (!store) give_up(store.error().message);
    measure("put, durable", n, size, [&](std::size_t i) {
        if (const auto put = (*store)->put(infos[i], payload, now); !put) give_up(put.error().message);
    });
    for (const char* what : {"get, first", "get, again"}) {
        measure(what, n, size, [&](std::size_t i) {
            if (const auto block = (*store)->get(infos[i].hash, now); !block) give_up(block.error().message);
        });
    }
    measure("contains, unknown", n, 0, [&](std::size_t i) { (void)(*store)->contains(infos[i].parent); });
    const auto start = Clock::now();
    auto fresh = ArtifactStore::open(options, fingerprint);
    if (!fresh) give_up(fresh.error().message);
    say("open", 0, seconds_since(start), 1);
    for (const char* what : {"refresh, first (reads all heads)", "refresh, again", "refresh, nothing new"}) {
        measure(what, 1, 0, [&](std::size_t) { (*fresh)->refresh(); });
    }

    const auto model = folder.path() / "model.gguf";
    {
        std::ofstream out(model, std::ios::binary);
        for (std::size_t i = 0; i < n; ++i) {
            out.write(reinterpret_cast<const char*>(payload.data()), static_cast<std::streamsize>(bytes));
        }
    }
    measure("weights of a model file", 1, size * static_cast<double>(n), [&](std::size_t) {
        if (!weights_digest(options.folder, model)) give_up("weights");
    });
    return 0;
}
