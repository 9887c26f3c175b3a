/* Every diagnostic's stable code, in one list so that numbers never collide and never change their meaning:
 * a code that is no longer used keeps its number. Users search for them, tools match on them, and
 * docs/reference prints this table.
 *   001–039 reading YAML     040–099 decoding against a field table
 *   100–199 checking a policy document   200–249 merging and compiling   250–299 fleet and request files
 *   300–349 configuration files
 * X(NAME, number, severity, what it means) */
#ifndef BW_YAML_CODES_H
#define BW_YAML_CODES_H

#define BW_DIAG_MAP(X)                                                                                       \
    X(TOO_LARGE, 1, ERROR, "the file is larger than a document may be")                                      \
    X(ENCODING, 2, ERROR, "the file is not valid UTF-8")                                                     \
    X(CONTROL_CHARACTER, 3, ERROR, "a character that must not appear in a document")                         \
    X(HIDDEN_CHARACTER, 4, ERROR, "a character that changes how the line reads without being seen")          \
    X(SYNTAX, 5, ERROR, "not well-formed YAML")                                                              \
    X(TOO_DEEP, 6, ERROR, "nested too deeply")                                                               \
    X(TOO_MANY, 7, ERROR, "too many values in one document")                                                 \
    X(SCALAR_TOO_LONG, 8, ERROR, "a value is too long")                                                      \
    X(ANCHOR, 9, ERROR, "anchors are not used here")                                                         \
    X(ALIAS, 10, ERROR, "aliases are not used here")                                                         \
    X(MERGE_KEY, 11, ERROR, "merge keys are not used here")                                                  \
    X(TAG, 12, ERROR, "tags are not used here")                                                              \
    X(SEVERAL_DOCUMENTS, 13, ERROR, "one document a file")                                                   \
    X(EMPTY_DOCUMENT, 14, ERROR, "the document is empty")                                                    \
    X(DUPLICATE_KEY, 15, ERROR, "a key is stated twice")                                                     \
    X(COMPLEX_KEY, 16, ERROR, "a key must be a plain name")                                                  \
    X(DIRECTIVE, 17, ERROR, "directives are not used here")                                                  \
    X(MEMORY, 18, ERROR, "out of memory while reading")                                                      \
    X(UNKNOWN_KEY, 40, ERROR, "a key that does not exist here")                                              \
    X(MISSING_KEY, 41, ERROR, "a required key is absent")                                                    \
    X(EMPTY_VALUE, 42, ERROR, "a key without a value")                                                       \
    X(WRONG_TYPE, 43, ERROR, "another kind of value is expected")                                            \
    X(BAD_BOOLEAN, 44, ERROR, "not true or false")                                                           \
    X(BAD_NUMBER, 45, ERROR, "not a number in strict form")                                                  \
    X(BAD_DURATION, 46, ERROR, "not a duration")                                                             \
    X(BAD_DATE, 47, ERROR, "not a date or an instant")                                                       \
    X(OUT_OF_RANGE, 48, ERROR, "outside what is accepted")                                                   \
    X(BAD_ENUM, 49, ERROR, "not one of the accepted words")                                                  \
    X(BAD_TEXT, 50, ERROR, "not in the accepted form")                                                       \
    X(NOT_ASCII, 51, ERROR, "a code with a character outside ASCII")                                         \
    X(NOT_SUPPORTED_YET, 52, ERROR, "not supported yet")                                                     \
    X(LOOKS_BOOLEAN, 53, WARNING, "other YAML readers take this for true or false")                          \
    X(REPEATED_VALUE, 54, WARNING, "a value is listed twice")                                                \
    X(KEYS_EXCLUDE, 55, ERROR, "two keys that exclude each other")                                           \
    X(UNKNOWN_TERRITORY, 100, ERROR, "not an ISO 3166 code, a group or a site")                              \
    X(WITHDRAWN_CODE, 101, ERROR, "a code that ISO 3166 has withdrawn")                                      \
    X(UNKNOWN_PIN, 102, ERROR, "no version of the group at that date")                                       \
    X(PLACE_NOT_HERE, 103, ERROR, "this kind of place cannot be used here")                                  \
    X(BAD_PATTERN, 104, ERROR, "not a user pattern")                                                         \
    X(DUPLICATE_NAME, 105, ERROR, "two of the same name")                                                    \
    X(OTHERS_TWICE, 106, ERROR, "more than one group matches everyone else")                                 \
    X(MATCH_FORM, 107, ERROR, "a match names members or others")                                             \
    X(MUST_BE_STATED, 108, ERROR, "the organisation must state this")                                        \
    X(NOT_AT_THIS_LEVEL, 109, ERROR, "cannot be stated at this level")                                       \
    X(ALLOWS_NOTHING, 110, ERROR, "nothing that is allowed is left after what is denied")                    \
    X(DENIES_ALL, 111, ERROR, "everything is denied")                                                        \
    X(ALLOWED_AND_DENIED, 112, WARNING, "allowed and denied in one level; deny wins")                        \
    X(PREFER_OUTSIDE, 113, WARNING, "preferred but not allowed")                                             \
    X(LOCKED_BELOW, 114, ERROR, "a lower level states what a higher level has locked")                       \
    X(MODE_FORBIDS_CONNECTOR, 115, ERROR,                                                                    \
      "end-to-end encryption is required and this connector needs plaintext")                                \
    X(MODE_MAY_FORBID_CONNECTOR, 116, WARNING, "end-to-end encryption keeps this connector out")             \
    X(SUITES_WITHOUT_E2EE, 117, WARNING, "suites are listed but end-to-end encryption is forbidden")         \
    X(STAR_NOT_ALONE, 118, ERROR, "\"*\" stands alone")                                                      \
    X(EXCEPTION_LIFTS_NOTHING, 119, ERROR, "an exception lifts what its level does not deny")                \
    X(REFERENCE_UNKNOWN, 120, ERROR, "names something that does not exist in this document")                 \
    X(TEST_CONTRADICTS, 121, ERROR, "a test expects a relay to be allowed and denied")                       \
    X(GROUP_NEVER_MATCHES, 122, WARNING, "nobody can match")                                                 \
    X(EMPTY_LIST_IS_NOTHING, 123, WARNING, "an empty list allows nothing")                                   \
    X(WIDENS_PARENT, 200, ERROR, "a lower level allows what a higher level does not")                        \
    X(MODES_CONTRADICT, 201, ERROR, "two levels leave no encryption mode")                                   \
    X(SUITES_CONTRADICT, 202, ERROR, "two levels leave no cipher suite")                                     \
    X(CONNECTOR_CONTRADICTS, 203, ERROR, "a level requires a connector that another forbids")                \
    X(NO_RELAY_LEFT, 204, ERROR, "no relay of today's fleet satisfies this level")                           \
    X(CLAMPED, 205, WARNING, "a lower level states more than a higher level allows; the higher one holds")   \
    X(GROUPS_MAY_CONTRADICT, 206, WARNING, "somebody in both groups could not host a meeting")               \
    X(EXCEPTION_ENDED, 207, WARNING, "an exception that has ended lifts nothing any more")                   \
    X(EXCEPTION_ENDS_SOON, 208, WARNING, "an exception ends within 30 days")                                 \
    X(LINK_TO_NOTHING, 250, WARNING, "a link names a relay or region that is not in this file")              \
    X(FLEET_REFERENCE, 251, ERROR, "names a region or relay that is not in the fleet")                       \
    X(FLEET_DUPLICATE, 252, ERROR, "two of the same name in the fleet")                                      \
    X(FLEET_FORM, 253, ERROR, "not in the form this list needs")                                             \
    X(REQUEST_MISMATCH, 254, ERROR, "the request does not fit the policy or the fleet")

#endif
