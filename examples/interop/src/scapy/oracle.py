"""Protects and opens packets with scapy, as asked on standard input: one JSON object per line, one per answer.

A question has `seal` or `open` with a whole IP packet in hex, and the SA: `protocol`, `spi`, `encryption` and
`integrity` in scapy's names or null, their keys in hex, `icv_len` of a combined mode, `tunnel` with the outer
addresses or null, `udp`, `esn`, and the full `sequence`. The answer is one of
{"octets": hex}, {"forged": why} and {"error": why}.
"""

import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.compat import raw
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, IPSecIntegrityError, SecurityAssociation


def ip(octets):
    return (IPv6 if octets[0] >> 4 == 6 else IP)(octets)


def association(question):
    options = {}
    if question["integrity"]:
        options["auth_algo"] = question["integrity"]
        options["auth_key"] = bytes.fromhex(question["integrity_key"])
    if question["encryption"]:
        options["crypt_algo"] = question["encryption"]
        options["crypt_key"] = bytes.fromhex(question["encryption_key"])
    if question["icv_len"]:
        options["crypt_icv_size"] = question["icv_len"]
    if question["tunnel"]:
        source, destination = question["tunnel"]
        options["tunnel_header"] = (IPv6 if ":" in source else IP)(src=source, dst=destination)
    if question["udp"]:
        options["nat_t_header"] = UDP(sport=4500, dport=4500)
    protocol = {"esp": ESP, "ah": AH}[question["protocol"]]
    return SecurityAssociation(
        protocol, spi=question["spi"], esn_en=question["esn"], esn=question["sequence"] >> 32, **options
    )


def answer(question):
    sa = association(question)
    if "seal" in question:
        packet = ip(bytes.fromhex(question["seal"]))
        return raw(sa.encrypt(packet, seq_num=question["sequence"] & 0xFFFFFFFF))
    return raw(sa.decrypt(ip(bytes.fromhex(question["open"]))))


for line in sys.stdin:
    try:
        reply = {"octets": answer(json.loads(line)).hex()}
    except IPSecIntegrityError as error:
        reply = {"forged": str(error)}
    except Exception as error:  # Whatever it is, the other side is to hear of it.
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
