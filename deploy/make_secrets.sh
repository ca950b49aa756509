#!/bin/sh
# Makes a random password for each role that has none yet, in files of a folder that only you may enter.
set -eu
folder=${1:-secrets}
mkdir -p -m 700 "$folder"
for role in postgres owner pipeline analyst; do
    file="$folder/${role}_password"
    if [ ! -s "$file" ]; then
        # Hexadecimal, so that it may stand in a URL as it is.
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$file"
        # The programs in the containers are other accounts than yours; the folder keeps others out.
        chmod 444 "$file"
        echo "made $file"
    fi
done
