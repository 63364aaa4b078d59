#!/usr/bin/env bash
# Installs (install) or looks for (check) the programs that probity is tested
# against: Debian packages, started by the tests on loopback and stopped again.
set -euo pipefail

# program:package
peers=(
  openssl:openssl nmap:nmap sslscan:sslscan gnutls-serv:gnutls-bin nginx:nginx-light storescp:dcmtk echoscu:dcmtk dcmqrscp:dcmtk
  Orthanc:orthanc sshd:openssh-server gpg:gnupg ssh-keygen:openssh-client ssh-keyscan:openssh-client
  mosquitto:mosquitto mosquitto_pub:mosquitto-clients snmpd:snmpd snmpget:snmp
  curl:curl tshark:tshark editcap:wireshark-common mergecap:wireshark-common dumpcap:wireshark-common tcpdump:tcpdump ndpiReader:libndpi-bin setpriv:util-linux setcap:libcap2-bin sqlite3:sqlite3 xmllint:libxml2-utils ip:iproute2 Xtigervnc:tigervnc-standalone-server
  postgres:postgresql mariadbd:mariadb-server-core smtpd:opensmtpd dovecot:dovecot-imapd /usr/lib/dovecot/pop3:dovecot-pop3d tsql:freetds-bin smbd:samba telnetd:inetutils-telnetd vsftpd:vsftpd
  slapd:slapd prosody:prosody xrdp:xrdp rabbitmq-server:rabbitmq-server
  make-ssl-cert:ssl-cert update-ca-certificates:ca-certificates
  lighttpd:lighttpd faketime:faketime chronyd:chrony
  pcap-config:libpcap-dev avahi-daemon:avahi-daemon dhclient:isc-dhcp-client lldpd:lldpd nmbd:samba miniupnpd:miniupnpd wsdd:wsdd chromium:chromium
)

export PATH="$PATH:/usr/sbin:/sbin:$(echo /usr/lib/postgresql/*/bin)"
missing=()
/usr/bin/python3 -c 'import junitparser' 2>/dev/null || missing+=(python3-junitparser)
/usr/bin/python3 -c 'import pymodbus.server' 2>/dev/null || missing+=(python3-pymodbus python3-serial-asyncio)
[ -e /usr/lib/lighttpd/mod_mbedtls.so ] || missing+=(lighttpd-mod-mbedtls)
[ -d /usr/lib/python3/dist-packages/cryptography_vectors ] || missing+=(python3-cryptography-vectors)
for p in "${peers[@]}"; do
  command -v "${p%%:*}" >/dev/null || missing+=("${p##*:}")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
list=$(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')

if [ "${1:-check}" != install ]; then
  echo "missing peers: $list(run: make test, which installs them)" >&2
  exit 1
fi
echo "installing Debian packages that the tests need: $list"
sudo=
if [ "$(id -u)" -ne 0 ]; then
  sudo=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# Debian starts services on installation, unless this script refuses: the tests
# start their own. Where there is one already, it holds.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '$sudo rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # the list is words on purpose
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $list >/dev/null
