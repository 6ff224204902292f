/*
 * The cases of test_identity.c on overlays: layers on one file system, and on two; and copy-up.
 */
#define IDENTITY_OVERLAY 1
#include "test_identity.c"
