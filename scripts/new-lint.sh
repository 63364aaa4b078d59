#!/usr/bin/env bash
# usage: scripts/new-lint.sh PACKAGE/PROPERTY, such as cert/no_md5
# Writes the file of a check, cases to start from, its line in Checks, and its entry in
# the catalogue of rules, each with FILL IN where something is left to say. ROOT is
# where lint/ and rules/ are: this repository, unless a test says otherwise.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${ROOT:-$(dirname "$here")}
name=${1:-}

fail() { printf 'new-lint: %s\n' "$1" >&2; exit 2; }
[[ $name =~ ^(cert|key|chain|endpoint|asset|fleet)/[a-z][a-z0-9]*(_[a-z0-9]+)*$ ]] ||
  fail "NAME=$name: want PACKAGE/PROPERTY, with a PACKAGE of cert, key, chain, endpoint, asset, fleet and a PROPERTY in lower case that a pass answers with yes, such as cert/no_md5"
package=${name%/*} property=${name#*/}
file=$root/lint/$package/$property.go
list=$root/lint/$package/$package.go
cases=$root/lint/$package/testdata/$property
[ ! -e "$file" ] || fail "$file is there already"
[ ! -e "$cases" ] || fail "$cases is there already"

func=$(sed 's/_\([a-z0-9]\)/\U\1/g' <<<"$property")
case $package in
  cert | key | chain) template=certificate like=cert/testdata/leaf_not_ca ;;
  endpoint) template=endpoint like=endpoint/testdata/no_ssl ;;
  asset) template=asset like=asset/testdata/unique_identity ;;
  fleet) template=fleet like=fleet/testdata/unique_certificate ;;
esac
sed "s|@PACKAGE@|$package|g; s|@FUNC@|$func|g; s|@NAME@|$name|g" "$here/new-lint/$template.go.tmpl" >"$file"

# The line in Checks: before the brace that ends the list.
awk -v line="$func()," '
  /return \[\]lint.Check\{/ { inside = 1
    if ($0 ~ /\}$/) { sub(/\}$/, ", " line); sub(/,$/, "}"); print; inside = 0; done = 1; next } }
  inside && /^\t\}/ { print "\t\t" line; inside = 0; done = 1 }
  { print }
  END { exit !done }' "$list" >"$list.new" || { rm -f "$list.new" "$file"; fail "$list has no list of Checks"; }
mv "$list.new" "$list"

# A case: the input of another one; make cases writes what every check says of it.
mkdir -p "$cases"
for of in "$root/lint/$like"/*.txtar; do
  sed '/^-- want --$/,$d' "$of" >"$cases/FILL_IN_$(basename "$of")"
  printf -- '-- want --\nFILL IN: make cases\n' >>"$cases/FILL_IN_$(basename "$of")"
done

case $package in cert) area=CERT ;; key) area=KEY ;; chain) area=CHAIN ;; endpoint) area=TLS ;; asset) area=ID ;; fleet) area=DUP ;; esac
yaml=$root/rules/catalogue/data/$(tr '[:upper:]' '[:lower:]' <<<"$area").yaml
next=$(sed -n "s/^  - id: MD-$area-0*\([0-9]*\)$/\1/p" "$yaml" | sort -n | tail -1)
id=MD-$area-$(printf '%03d' $((10#$next + 1)))
cat >>"$yaml" <<RULE

  - id: $id
    title: FILL IN, a sentence that a pass answers with yes
    severity: medium
    rationale: FILL IN
    lint: $name
    status: stable
    since: FILL IN, the version in sources.yaml
    observed: FILL IN
    method: FILL IN
    applies_to: [FILL IN]
    verdicts:
      pass: FILL IN
      fail: FILL IN
      not-applicable: FILL IN
    remediation: FILL IN
    false_positives: FILL IN
    examples: # cases in lint/$package/testdata/$property
      - {case: FILL IN, want: pass}
      - {case: FILL IN, want: fail}
      - {case: FILL IN, want: not-applicable}
    clauses:
      - {source: FILL IN, clause: "FILL IN", relation: tests, verified: recalled, title: "FILL IN"}
RULE

cat <<NEXT
wrote  ${file#"$root"/}
added  $func() to Checks in ${list#"$root"/}
wrote  ${cases#"$root"/}/
added  $id to ${yaml#"$root"/}

What is left, in this order (docs/new-rule.md says more):
  1. ${file#"$root"/}: say in Go what is true
  2. ${cases#"$root"/}/: rename the cases and change their inputs, or delete them and
     declare others in lint/all/*_test.go; then: make cases
  3. ${yaml#"$root"/}: say in words what it means; grep -rn 'FILL IN' lint rules
  4. make golden && go test ./lint/... ./rules/... && make lint
NEXT
