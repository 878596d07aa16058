#include "serve/admission.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <utility>

#include "serve/testing/serve_test.h"

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

const Caller kPlain{"them", false};
const Caller kAdmin{"us", true};

class AdmissionTest : public testing_support::ServeTest {};

asio::awaitable<void> completes(Context& context) {
    GenerationRequest request;
    EXPECT_TRUE(complete_request(kPlain, request));
    EXPECT_EQ(request.cache_salt, "them");
    const auto lease = co_await lease_model(context, kPlain, "", {});
    EXPECT_TRUE(lease);
    if (!lease) co_return;
    EXPECT_TRUE(settle(context, *lease, request));
    EXPECT_EQ(request.max_tokens, 50) << "without a wish it is the cap";
    request.max_tokens = 20;
    EXPECT_TRUE(settle(context, *lease, request));
    EXPECT_EQ(request.max_tokens, 20);
    request.priority = -1;
    EXPECT_TRUE(complete_request(kAdmin, request));
    const auto refused = complete_request(kPlain, request, "requests[2].");
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "requests[2].priority");
}

TEST_F(AdmissionTest, ARequestGetsItsTenantAndTheCap) {
    settings_.max_tokens_limit = 50;
    run(completes);
}

asio::awaitable<void> leases(Context& context) {
    const auto lease = co_await lease_model(context, kPlain, "", 60s);
    EXPECT_TRUE(lease) << "the default model";
    if (lease) {
        EXPECT_EQ(lease->model(), "m");
    }
    const auto refused = co_await lease_model(context, kPlain, "m", 0s);
    EXPECT_FALSE(refused);
    if (!refused) {
        EXPECT_EQ(refused.error().field, "keep_alive");
    }
    EXPECT_TRUE(co_await lease_model(context, kAdmin, "m", 0s));
    const auto unknown = co_await lease_model(context, kAdmin, "nobody", {});
    EXPECT_FALSE(unknown);
    if (!unknown) {
        EXPECT_EQ(unknown.error().field, "model");
    }
}

TEST_F(AdmissionTest, ALeaseIsBoundByWhatTheCallerMayAsk) {
    run(leases);
}

TEST(GenerationsAtOnce, AreTwoFullBatches) {
    config::Settings settings;
    settings.batch_size = 4;
    settings.batch_size_max = 16;
    EXPECT_EQ(generations_at_once(settings), 32U);
}

}  // namespace
}  // namespace sutazai::serve
