/* meeting report-quality: what an endpoint measured, said by hand. */
#include <stdlib.h>
#include <string.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "cli/meeting.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/verbs.h"
#include "quality/sample.h"
#include "runtime/clock.h"

/* X(NAME of the quality room, member, case) */
#define NUMBER_MAP(X)                                                                                        \
    X(PACKETS_RECEIVED, packets_received, PACKETS_RECEIVED_GIVEN_PACKETS_RECEIVED)                           \
    X(PACKETS_LOST, packets_lost, PACKETS_LOST_GIVEN_PACKETS_LOST)                                           \
    X(JITTER, jitter_us, JITTER_US_GIVEN_JITTER_US)                                                          \
    X(ROUND_TRIP_TIME, round_trip_time_us, ROUND_TRIP_TIME_US_GIVEN_ROUND_TRIP_TIME_US)                      \
    X(BYTES_RECEIVED, bytes_received, BYTES_RECEIVED_GIVEN_BYTES_RECEIVED)                                   \
    X(FRACTION_LOST, fraction_lost_ppm, FRACTION_LOST_PPM_GIVEN_FRACTION_LOST_PPM)                           \
    X(CONCEALED_SAMPLES, concealed_samples, CONCEALED_SAMPLES_GIVEN_CONCEALED_SAMPLES)                       \
    X(TOTAL_SAMPLES_RECEIVED, total_samples_received, TOTAL_SAMPLES_RECEIVED_GIVEN_TOTAL_SAMPLES_RECEIVED)   \
    X(JITTER_BUFFER_DELAY, jitter_buffer_delay_us, JITTER_BUFFER_DELAY_US_GIVEN_JITTER_BUFFER_DELAY_US)      \
    X(FRAMES_PER_SECOND, frames_per_second_milli, FRAMES_PER_SECOND_MILLI_GIVEN_FRAMES_PER_SECOND_MILLI)     \
    X(FREEZE_COUNT, freeze_count, FREEZE_COUNT_GIVEN_FREEZE_COUNT)                                           \
    X(TOTAL_FREEZES_DURATION, total_freezes_duration_ms,                                                     \
      TOTAL_FREEZES_DURATION_MS_GIVEN_TOTAL_FREEZES_DURATION_MS)                                             \
    X(NACK_COUNT, nack_count, NACK_COUNT_GIVEN_NACK_COUNT)                                                   \
    X(PLI_COUNT, pli_count, PLI_COUNT_GIVEN_PLI_COUNT)                                                       \
    X(AVAILABLE_OUTGOING_BITRATE, available_outgoing_bitrate_kbps,                                           \
      AVAILABLE_OUTGOING_BITRATE_KBPS_GIVEN_AVAILABLE_OUTGOING_BITRATE_KBPS)

static const char *const limitation_names[] = {"none", "cpu", "bandwidth", "other", NULL};
static const char *const candidate_names[] = {"host", "srflx", "prflx", "relay", NULL};
static const char *const protocol_names[] = {"udp", "tcp", NULL};

static int word_of(const char *const *names, const char *word)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], word) == 0)
            return i;
    }
    return -1;
}

static const char *const *words_of(enum bw_quality_field field)
{
    switch (field) {
    case BW_QUALITY_QUALITY_LIMITATION_REASON:
        return limitation_names;
    case BW_QUALITY_CANDIDATE_TYPE:
        return candidate_names;
    case BW_QUALITY_PROTOCOL:
        return protocol_names;
    default:
        return NULL;
    }
}

/* "jitter=0.031" */
static int take_statistic(struct bw_cli *cli, const char *text, struct bw_quality_window *window)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : 0;
    int field = 0;
    while (field < BW_QUALITY_FIELDS &&
           (strlen(bw_quality_field_name((enum bw_quality_field)field)) != len ||
            memcmp(bw_quality_field_name((enum bw_quality_field)field), text, len) != 0))
        field++;
    if (len == 0 || field == BW_QUALITY_FIELDS)
        return bw_cli_say(cli, BW_EXIT_USAGE,
                          "--stat %s: NAME=VALUE with a name of webrtc-stats, such as packetsLost=12", text);
    if (bw_quality_has(window, (enum bw_quality_field)field))
        return bw_cli_say(cli, BW_EXIT_USAGE, "--stat %s: given twice", text);
    const char *const *words = words_of((enum bw_quality_field)field);
    if (words != NULL) {
        int word = word_of(words, equals + 1);
        if (word < 0)
            return bw_cli_say(cli, BW_EXIT_USAGE, "--stat %s: no such value", text);
        bw_quality_put(window, (enum bw_quality_field)field, word);
        return BW_EXIT_OK;
    }
    char *end;
    double value = strtod(equals + 1, &end);
    if (end == equals + 1 || *end != '\0')
        return bw_cli_say(cli, BW_EXIT_USAGE, "--stat %s: the value is no number", text);
    bw_quality_put_real(window, (enum bw_quality_field)field, value);
    return BW_EXIT_OK;
}

static void fill_sample(Bailiwick__V1__ClientQualitySample *sample, const struct bw_quality_window *window)
{
    const int64_t *values = window->values;
    sample->window_start_unix_ms = window->start_ms;
    sample->window_ms = (uint32_t)window->length_ms;
    sample->muted = (window->state & BW_QUALITY_MUTED) != 0;
    sample->ice_failed = (window->state & BW_QUALITY_ICE_FAILED) != 0;
#define X(name, member, given)                                                                               \
    if (bw_quality_has(window, BW_QUALITY_##name)) {                                                         \
        sample->member##_given_case = BAILIWICK__V1__CLIENT_QUALITY_SAMPLE__##given;                         \
        sample->member = (__typeof__(sample->member))values[BW_QUALITY_##name];                              \
    }
    NUMBER_MAP(X)
#undef X
    if (bw_quality_has(window, BW_QUALITY_QUALITY_LIMITATION_REASON))
        sample->quality_limitation_reason =
            (Bailiwick__V1__ClientQualitySample__QualityLimitationReason)(values
                                                                              [BW_QUALITY_QUALITY_LIMITATION_REASON] +
                                                                          1);
    if (bw_quality_has(window, BW_QUALITY_CANDIDATE_TYPE))
        sample->candidate_type =
            (Bailiwick__V1__ClientQualitySample__CandidateType)(values[BW_QUALITY_CANDIDATE_TYPE] + 1);
    if (bw_quality_has(window, BW_QUALITY_PROTOCOL))
        sample->protocol = (Bailiwick__V1__ClientQualitySample__Protocol)(values[BW_QUALITY_PROTOCOL] + 1);
}

/* What cannot be is said here, before anybody is asked: the numbers of a request hold no negative ones. */
static int take_window(struct bw_cli *cli, struct bw_quality_window *window)
{
    const char **statistics;
    size_t count;
    if (!bw_args_list(cli->args, "stat", cli->arena, &count, &statistics))
        return bw_cli_memory(cli);
    int64_t length_ms = (int64_t)bw_args_number(cli->args, "window", BW_QUALITY_WINDOW_USUAL_MS);
    int64_t start_ms = (int64_t)bw_clock_wall_ms() - length_ms;
    *window =
        bw_quality_window_of((int64_t)bw_args_number(cli->args, "start", (uint64_t)start_ms), length_ms);
    window->state = (bw_args_given(cli->args, "muted") ? BW_QUALITY_MUTED : 0u) |
                    (bw_args_given(cli->args, "ice-failed") ? BW_QUALITY_ICE_FAILED : 0u);
    for (size_t i = 0; i < count; i++) {
        int result = take_statistic(cli, statistics[i], window);
        if (result != BW_EXIT_OK)
            return result;
    }
    struct bw_quality_finding finding;
    if (count > 0 && bw_quality_check(window, BW_QUALITY_FROM_CLIENT, &finding) != BW_QUALITY_POSSIBLE) {
        char words[256];
        bw_quality_describe(&finding, words, sizeof words);
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s", words);
    }
    return BW_EXIT_OK;
}

static const char *const media_names[] = {"audio", "camera", "screen", NULL};
static const char *const path_names[] = {"connected", "failed", NULL};

static int meeting_report_quality(struct bw_cli *cli)
{
    static const struct bw_column columns[] = {
        {"TAKEN", "qualityTaken", BW_CELL_TEXT, NULL, false},
        {"DROPPED", "qualityDropped", BW_CELL_TEXT, NULL, false},
        {"MODE", "mode", BW_CELL_ENUM, "E2EE_MODE_", false},
    };
    static const struct bw_view_table view = {.name = "qualityTaken", .columns = columns, .count = 3};
    Bailiwick__V1__ReportClientStateRequest request = BAILIWICK__V1__REPORT_CLIENT_STATE_REQUEST__INIT;
    Bailiwick__V1__ClientQualitySample sample = BAILIWICK__V1__CLIENT_QUALITY_SAMPLE__INIT,
                                       *samples[] = {&sample};
    struct bw_quality_window window = {0};
    request.request_id = bw_cli_request_id(cli);
    request.tenant = request.request_id != NULL ? bw_cli_tenant(cli) : NULL;
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.meeting_id = bw_args_operand(cli->args, 0);
    request.roster_entry = bw_args_operand(cli->args, 1);
    int result = take_window(cli, &window);
    if (result != BW_EXIT_OK)
        return result;
    if (bw_args_given(cli->args, "path"))
        request.path =
            (Bailiwick__V1__ReportClientStateRequest__Path)(bw_args_choice(cli->args, "path", 0) + 1);
    if (window.present != 0) {
        fill_sample(&sample, &window);
        sample.stream = (uint32_t)bw_args_number(cli->args, "stream", 0);
        sample.media = (Bailiwick__V1__ClientQualitySample__Media)(bw_args_choice(cli->args, "media", 0) + 1);
        request.n_quality = 1;
        request.quality = samples;
    } else if (request.path == 0) {
        return bw_cli_say(cli, BW_EXIT_USAGE, "say what was measured, with --stat, or --path");
    }
    json_t *tree = NULL;
    result = bw_server_ask(cli, BW_METHOD(MeetingService, ReportClientState), &request.base,
                           &bailiwick__v1__report_client_state_response__descriptor, &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &view);
    json_decref(tree);
    return result;
}

static const struct bw_operand quality_operands[] = {BW_MEETING_OPERAND, BW_ENTRY_OPERAND};
static const struct bw_option quality_rows[] = {
    BW_TENANT_OPTION,
    {.name = "stat",
     .type = BW_OPTION_LIST,
     .value = "NAME=VALUE",
     .help = "a value by its webrtc-stats name and in its unit: packetsReceived=480, jitter=0.031 (seconds)"},
    {.name = "media",
     .type = BW_OPTION_CHOICE,
     .value = "MEDIA",
     .choices = media_names,
     .help = "what the stream carries (default audio)"},
    {.name = "stream",
     .type = BW_OPTION_UINT,
     .value = "N",
     .max = 65535,
     .help = "the endpoint's own number for the stream (default 0)"},
    {.name = "window",
     .type = BW_OPTION_DURATION,
     .value = "DURATION",
     .max = 60000,
     .help = "how long was measured (default 10s)"},
    {.name = "start",
     .type = BW_OPTION_UINT,
     .value = "UNIX_MS",
     .max = 253402300799999,
     .help = "when the window began (default: it has just ended)"},
    {.name = "muted", .type = BW_OPTION_FLAG, .help = "muted over most of the window"},
    {.name = "ice-failed", .type = BW_OPTION_FLAG, .help = "without a path over most of the window"},
    {.name = "path",
     .type = BW_OPTION_CHOICE,
     .value = "STATE",
     .choices = path_names,
     .help = "whether the endpoint reaches its relay now"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_meeting_report_quality = {
    .noun = "meeting",
    .name = "report-quality",
    .summary = "report what a participant's endpoint measured",
    .about = "What applications do every ten seconds, by hand: for trying out support questions, and for\n"
             "endpoints that have only a shell. A window is taken once; values that cannot be are refused.",
    .example = "bailiwick meeting report-quality 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e 5f0c… \\\n"
               "    --stat packetsReceived=480,packetsLost=20,jitter=0.031",
    BW_OPTIONS(quality_rows),
    BW_OPERANDS(quality_operands),
    .run = meeting_report_quality,
};
