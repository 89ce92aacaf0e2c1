-- Questions from the other end: which aliases lead to an address, who may send as it. The administrator's commands ask them.
CREATE INDEX aliases_by_target ON aliases (lower(target));
CREATE INDEX sender_addresses_by_address ON sender_addresses (address);
