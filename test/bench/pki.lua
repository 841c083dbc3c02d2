-- Arguments: the token. Every request issues a certificate for one name.

local whole

function init(args)
  wrk.headers["X-Vault-Token"] = args[1]
  wrk.headers["Content-Type"] = "application/json"
  whole = wrk.format("POST", "/v1/pki/issue/bench", nil, '{"common_name":"a.example.com","ttl":"1h"}')
end

function request()
  return whole
end
