"""A phone on baresip as it is today: registers by a flow (RFC 5626), asks for GRUUs and answers every call.

Arguments: user domain password server transport instance. Commands on standard input: `dial URI`, `hangup`. Prints `registered` and
`call STATE` on standard output.
"""
import asyncio
import os
import sys

from baresip import Account, Config
from baresip.runtime import Runtime
from baresip.ua import UserAgent

user, domain, password, server, transport, instance = sys.argv[1:]
calls = []


def say(*words):
    print(*words, flush=True)


async def done(result):
    return await result if asyncio.iscoroutine(result) else result


async def take(call):
    calls.append(call)
    await done(call.answer())


async def watch():
    """Says each state of the last call."""
    said = None
    while True:
        state = (len(calls), calls[-1].state.name) if calls else None
        if state != said:
            said = state
            say("call", state[1])
        await asyncio.sleep(0.02)


async def main():
    runtime = Runtime()
    settings = Config(
        net_interface="127.0.0.1",
        instance_id=instance,
        max_concurrent_calls=None,
        extra_config_text="sip_listen 127.0.0.1:0\n",
    )
    await done(runtime.start(settings))
    proxy = f'outbound="sip:{server};transport={transport}"'
    account = Account(
        user=user, domain=domain, password=password, transport=transport, extra_params=(proxy, "sipnat=outbound")
    )
    agent = await done(UserAgent.create(runtime, account))
    agent.on_incoming(lambda call: asyncio.ensure_future(take(call)))
    await done(agent.register())
    say("registered")
    asyncio.ensure_future(watch())
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] == "dial":
            calls.append(await done(agent.dial(line[1])))
        elif line[0] == "hangup" and calls:
            await done(calls[-1].hangup())


asyncio.run(main())
os._exit(0)
