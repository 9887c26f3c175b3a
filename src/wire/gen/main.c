/* bw_wire_gen FILE_DESCRIPTOR_SET OUTPUT.c: writes the tables of the pre-scan (wire/table.h) from what protoc
 * made of proto/, and fails when a field does not state its bounds. Runs at build time only. */
#include <stdio.h>
#include <stdlib.h>

#include "schema.h"

enum { MAX_SET_BYTES = 8 << 20 };

int main(int argc, char **argv)
{
    if (argc != 3)
        die("usage: bw_wire_gen FILE_DESCRIPTOR_SET OUTPUT.c");
    FILE *in = fopen(argv[1], "rb");
    if (in == NULL)
        die("cannot read %s", argv[1]);
    unsigned char *bytes = malloc(MAX_SET_BYTES);
    struct schema *schema = malloc(sizeof *schema);
    if (bytes == NULL || schema == NULL)
        die("out of memory");
    size_t len = fread(bytes, 1, MAX_SET_BYTES, in);
    if (ferror(in) != 0 || len == MAX_SET_BYTES)
        die("cannot read %s, or it is too long", argv[1]);
    fclose(in);
    Google__Protobuf__FileDescriptorSet *set =
        google__protobuf__file_descriptor_set__unpack(NULL, len, bytes);
    if (set == NULL)
        die("%s is no FileDescriptorSet", argv[1]);
    schema_collect(schema, set);
    emit(schema, bytes, len, argv[2]);
    schema_finish(schema);
    free(schema);
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
    free(bytes);
    return 0;
}
