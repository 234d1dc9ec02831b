"""A phone on PJSIP: registers, answers every call, plays one WAV file and records into another.

Arguments: user domain password server transport local play record. Commands on standard input: `dial URI`, `hangup`.
Prints `registered CODE`, `call STATE CODE` on standard output.
"""
import os
import queue
import sys
import threading

import pjsua2 as pj

user, domain, password, server, transport, local, play, record = sys.argv[1:]


def say(*words):
    print(*words, flush=True)


class Call(pj.Call):
    def onCallState(self, parameter):
        info = self.getInfo()
        say("call", info.stateText, info.lastStatusCode)

    def onCallMediaState(self, parameter):
        info = self.getInfo()
        for index in range(len(info.media)):
            media = info.media[index]
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                audio = self.getAudioMedia(index)
                player.startTransmit(audio)
                audio.startTransmit(recorder)


class Account(pj.Account):
    def onRegState(self, parameter):
        say("registered", parameter.code)

    def onIncomingCall(self, parameter):
        call = Call(self, parameter.callId)
        calls.append(call)
        answer = pj.CallOpParam(True)
        answer.statusCode = 200
        call.answer(answer)


def read_commands():
    for line in sys.stdin:
        commands.put(line.split())
    commands.put(["end"])


calls, commands = [], queue.Queue()
endpoint = pj.Endpoint()
endpoint.libCreate()
settings = pj.EpConfig()
settings.logConfig.level = 5
settings.logConfig.consoleLevel = 0
settings.logConfig.filename = "pjsua.log"
settings.uaConfig.threadCnt = 0
settings.uaConfig.mainThreadOnly = True
settings.medConfig.clockRate = 8000
# A steady tone is not to be taken for silence.
settings.medConfig.noVad = True
settings.medConfig.sndAutoCloseTime = -1
endpoint.libInit(settings)
address = pj.TransportConfig()
address.boundAddress = local
kinds = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP}
endpoint.transportCreate(kinds[transport], address)
endpoint.audDevManager().setNullDev()
endpoint.libStart()
for codec in endpoint.codecEnum2():
    endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCM") else 0)

player, recorder = pj.AudioMediaPlayer(), pj.AudioMediaRecorder()
player.createPlayer(play)
recorder.createRecorder(record)

settings = pj.AccountConfig()
settings.idUri = f"sip:{user}@{domain}"
settings.regConfig.registrarUri = f"sip:{domain};transport={transport}"
settings.regConfig.timeoutSec = 120
settings.sipConfig.proxies.append(f"sip:{server};lr;transport={transport}")
settings.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))
settings.mediaConfig.transportConfig.boundAddress = local
# The NATs of the tests forget soon.
settings.natConfig.udpKaIntervalSec = 2
account = Account()
account.create(settings)

threading.Thread(target=read_commands, daemon=True).start()
while True:
    endpoint.libHandleEvents(20)
    try:
        command = commands.get_nowait()
    except queue.Empty:
        continue
    if command[:1] == ["dial"]:
        call = Call(account)
        calls.append(call)
        call.makeCall(command[1], pj.CallOpParam(True))
    elif command == ["hangup"]:
        endpoint.hangupAllCalls()
    elif command == ["end"]:
        break
# The binding's own clean-up crashes; nothing is left to lose.
os._exit(0)
