# Shared by the scripts of this folder: finds the project, a JDK 25 and Maven. Sourced, not run. Sets ROOT.
# FAILED is the exit status of what cannot be done, 1 if it is not set.

fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# = 0 ] || printf '%s\n' "$@" >&2
    exit "${FAILED:-1}"
}

ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

# Java reads arguments and file names in the locale's encoding; in the C locale it loses every letter beyond ASCII. What
# counts is the locale that is installed here, not the one that is asked for.
[ "$(locale charmap 2>/dev/null)" = UTF-8 ] || export LC_ALL=C.UTF-8

# A JDK (not only a runtime) of version 25, by its release file.
is_jdk_25() {
    [ -x "$1/bin/javac" ] && grep -q '^JAVA_VERSION="25[."]' "$1/release" 2>/dev/null
}

find_jdk() {
    local candidate
    for candidate in "${JAVA_HOME:-}" /usr/lib/jvm/*25*; do
        if [ -n "$candidate" ] && is_jdk_25 "$candidate"; then
            printf '%s' "$candidate"
            return
        fi
    done
    return 1
}

# Sets JAVA_HOME and PATH to it.
need_jdk() {
    JAVA_HOME=$(find_jdk) || fail 'no JDK 25 in JAVA_HOME or /usr/lib/jvm' \
        '  install one (Debian, Ubuntu: apt-get install openjdk-25-jdk-headless; or from adoptium.net),' \
        '  or set JAVA_HOME to it'
    export JAVA_HOME PATH="$JAVA_HOME/bin:$PATH"
}

need_maven() {
    command -v mvn >/dev/null || fail 'no Maven (mvn) in PATH' \
        '  install 3.8 or newer (Debian, Ubuntu: apt-get install maven; or from maven.apache.org)'
    local version
    version=$(mvn -v 2>/dev/null | sed -n 's/.*Apache Maven \([0-9.]*\).*/\1/p')
    [ "$(printf '3.8\n%s\n' "$version" | sort -V | head -n 1)" = 3.8 ] ||
        fail "Maven is $version" '  install 3.8 or newer (maven.apache.org)'
}

# Maven in the project's folder, saying only what is wrong. Java 25 would warn of Maven's own libraries.
mvn_quiet() {
    (
        cd "$ROOT"
        MAVEN_OPTS="--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow ${MAVEN_OPTS:-}" \
            mvn -q -B ${SFT_PROFILES:+-P"$SFT_PROFILES"} "$@" 2>&1 |
            sed -u $'s/\033\\[0m//g' >&2 # Maven resets the colours that it was told not to use
    )
}
