#include "fetch/registry.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "fetch/testing/fault_server.h"

namespace sutazai::fetch {
namespace {

using namespace std::chrono_literals;
using testing::FaultServer;
using testing::Reply;
using testing::Request;

const catalog::OllamaName kName = catalog::parse_ollama_name("host/me/tiny:v1").value();

class RegistryTest : public ::testing::Test {
  protected:
    template <typename Use>
    auto with(const FaultServer& server, Use use) {
        access.private_hosts.push_back(server.host());
        Client client(access, {.stall = 300ms, .tries = 3, .first_pause = 5ms}, {});
        Registry registry(client, server.url("/"), kName);
        return use(registry);
    }
    static auto get_manifest(Registry& registry) { return registry.get_manifest(); }

    Access access;
};

TEST_F(RegistryTest, AManifestComesToTheByte) {
    const FaultServer server([](const Request&) { return Reply{.body = "{ \"layers\" : [] }\n"}; });
    EXPECT_EQ(with(server, get_manifest), "{ \"layers\" : [] }\n");
    const Request request = server.requests().front();
    EXPECT_EQ(request.target, "/v2/me/tiny/manifests/v1");
    EXPECT_TRUE(request.headers.at("accept").starts_with("application/vnd.docker.distribution.manifest.v2+json"));
    EXPECT_FALSE(request.headers.contains("authorization"));
}

TEST_F(RegistryTest, ATokenIsAskedForAnonymously) {
    std::string realm;
    const FaultServer server([&](const Request& request) {
        if (request.target.starts_with("/token")) return Reply{.body = R"({"token": "abc.def"})"};
        const auto shown = request.headers.find("authorization");
        if (shown != request.headers.end() && shown->second == "Bearer abc.def") return Reply{.body = "{}"};
        return Reply{.status = 401,
                     .headers = {"WWW-Authenticate: Bearer realm=\"" + realm +
                                 "\",service=\"reg istry\",scope=\"repository:me/tiny:pull\""}};
    });
    realm = server.url("/token").text();
    EXPECT_EQ(with(server, get_manifest), "{}");
    ASSERT_EQ(server.requests().size(), 3U);
    EXPECT_EQ(server.requests()[1].target, "/token?service=reg%20istry&scope=repository%3Ame%2Ftiny%3Apull");
    EXPECT_FALSE(server.requests()[1].headers.contains("authorization"));
}

TEST_F(RegistryTest, CredentialsGoToNoOtherHost) {
    const FaultServer thief([](const Request&) { return Reply{.body = R"({"token": "x"})"}; });
    const FaultServer server([&](const Request&) {
        return Reply{.status = 401, .headers = {"WWW-Authenticate: Bearer realm=\"" + thief.url("/").text() + "\""}};
    });
    access.basic[server.host()] = "me:word";
    const auto refused = with(server, get_manifest);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kForbidden) << "a private realm";
    EXPECT_TRUE(thief.requests().empty());
    access.private_hosts.push_back(thief.host());
    EXPECT_FALSE(with(server, get_manifest));
    ASSERT_EQ(thief.requests().size(), 1U);
    EXPECT_FALSE(thief.requests()[0].headers.contains("authorization"));
    EXPECT_EQ(server.requests().back().headers.at("authorization"), "Bearer x");
}

TEST_F(RegistryTest, NobodyGetsATokenThatAnothersPasswordBuys) {
    const FaultServer victim([](const Request&) { return Reply{.body = R"({"token": "x"})"}; });
    const FaultServer asker([&](const Request& request) {
        if (request.headers.contains("authorization")) return Reply{.body = "{}"};
        return Reply{.status = 401, .headers = {"WWW-Authenticate: Bearer realm=\"" + victim.url("/").text() + "\""}};
    });
    access.private_hosts.push_back(victim.host());
    access.basic[victim.host()] = "me:word";
    (void)with(asker, get_manifest);
    ASSERT_EQ(victim.requests().size(), 1U);
    EXPECT_FALSE(victim.requests()[0].headers.contains("authorization"));
    access.basic[asker.host()] = "me:word";
    (void)with(asker, get_manifest);
    ASSERT_EQ(victim.requests().size(), 2U);
    EXPECT_TRUE(victim.requests()[1].headers.contains("authorization")) << "who set them has put the two together";
}

TEST_F(RegistryTest, WhatIsNoTokenIsNone) {
    for (const char* const body : {"", "{}", R"({"token": 7})", R"({"token": ""})", R"({"token": "a\r\nX: y"})"}) {
        std::string realm;
        const FaultServer server([&](const Request& request) {
            if (request.target == "/token") return Reply{.body = body};
            return Reply{.status = 401, .headers = {"WWW-Authenticate: Bearer realm=\"" + realm + "\""}};
        });
        realm = server.url("/token").text();
        const auto refused = with(server, get_manifest);
        ASSERT_FALSE(refused) << body;
        EXPECT_NE(refused.error().message.find("answers without one"), std::string::npos) << refused.error().message;
    }
}

TEST_F(RegistryTest, ManifestsAreBounded) {
    const FaultServer server([](const Request&) { return Reply{.body = std::string(2 << 20, ' ')}; });
    const auto refused = with(server, get_manifest);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("has more than"), std::string::npos) << refused.error().message;
    const FaultServer other([](const Request&) {
        return Reply{.headers = {"Docker-Content-Digest: sha256:" + std::string(64, '0')}, .body = "{}"};
    });
    EXPECT_FALSE(with(other, get_manifest)) << "another one than it said";
    const FaultServer without([](const Request&) { return Reply{.status = 404}; });
    EXPECT_EQ(with(without, get_manifest).error().code, ErrorCode::kNotFound);
    const FaultServer ill([](const Request&) { return Reply{.status = 502}; });
    EXPECT_FALSE(with(ill, get_manifest));
    EXPECT_EQ(ill.requests().size(), 3U) << "it might have passed";
}

TEST_F(RegistryTest, RedirectsThatNeverEndAreEnded) {
    const FaultServer server([](const Request&) { return Reply{.status = 307, .headers = {"Location: /again"}}; });
    const auto refused = with(server, get_manifest);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("redirects more than 10 times"), std::string::npos);
}

/// A registry that takes uploads.
struct Uploads {
    std::string taken;
    int cuts = 0;
    std::string committed;
    int begun = 0;

    Reply answer(const Request& request) {
        const std::string place = "Location: /upload/" + std::to_string(begun);
        if (request.method == "POST") {
            ++begun;
            taken.clear();
            return {.status = 202, .headers = {"Location: /upload/" + std::to_string(begun)}};
        }
        if (request.method == "PATCH") {
            if (cuts-- > 0) {
                taken += request.body.substr(0, request.body.size() / 2);
                return {.status = 503};
            }
            taken += request.body;
            return {.status = 202, .headers = {place, "Range: 0-" + std::to_string(taken.size() - 1)}};
        }
        if (request.method == "GET") {
            return {.status = 204,
                    .headers = {place, "Range: 0-" + std::to_string(taken.empty() ? 0 : taken.size() - 1)}};
        }
        if (request.method == "PUT") {
            committed = request.target;
            return {.status = 201};
        }
        return {.status = 404};
    }
};

TEST_F(RegistryTest, AnUploadGoesOnWhereItWasCut) {
    const std::string content = "0123456789abcdef";
    const store::Layer blob{"", sha256(std::as_bytes(std::span(content))), content.size()};
    char name[] = "/tmp/sutazai-upload-XXXXXX";
    const File file(::mkstemp(name));
    ASSERT_TRUE(write_all(file, std::as_bytes(std::span(content))));
    for (const int cuts : {0, 2}) {
        Uploads uploads{.cuts = cuts};
        const FaultServer server([&](const Request& request) { return uploads.answer(request); });
        std::uint64_t last = 0;
        const auto done = with(server, [&](Registry& registry) {
            return registry.put_blob(blob, file, [&](std::uint64_t completed) { last = completed; });
        });
        ASSERT_TRUE(done) << done.error().message;
        EXPECT_EQ(uploads.taken, content);
        EXPECT_EQ(uploads.begun, 1);
        EXPECT_EQ(uploads.committed, "/upload/1?digest=" + store::to_text(blob.digest));
        EXPECT_EQ(last, content.size());
    }
    Uploads never{.cuts = 100};
    const FaultServer server([&](const Request& request) { return never.answer(request); });
    const auto failed =
        with(server, [&](Registry& registry) { return registry.put_blob(blob, file, [](std::uint64_t) {}); });
    EXPECT_FALSE(failed);
    EXPECT_TRUE(never.committed.empty());
    std::filesystem::remove(name);
}

}  // namespace
}  // namespace sutazai::fetch
