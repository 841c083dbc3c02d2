-- Arguments: the token. Every request encrypts another plaintext of 64 bytes.

local head, tail
local n = 0

-- Base64 of 48 bytes, so that a counter of 16 digits (12 bytes) can follow.
local fixed = "cGFzc3dvcmQgb2YgYW4gYXBwbGljYXRpb24sIGFzIGxvbmcgYXMgdGhleSBhcmUu"

function init(args)
  wrk.headers["X-Vault-Token"] = args[1]
  wrk.headers["Content-Type"] = "application/json"
  local body = '{"plaintext":"' .. fixed .. string.format("%016d", 0) .. '"}'
  local whole = wrk.format("POST", "/v1/transit/encrypt/bench", nil, body)
  head, tail = whole:sub(1, -19), '"}'
end

function request()
  n = n + 1
  return head .. string.format("%016d", n) .. tail
end
