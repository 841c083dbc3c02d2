// A PKCS#11 module that hands everything on to another one ($SHIM_REAL), and does as the
// file $SHIM_MODE says meanwhile. Each start and each login is a line in $SHIM_LOG.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pkcs11go.h"

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST ours;

static int mode(const char *is)
{
	char text[64] = "";
	FILE *f = fopen(getenv("SHIM_MODE"), "r");
	if (f != NULL) {
		if (fgets(text, sizeof text, f) == NULL)
			text[0] = 0;
		fclose(f);
	}
	return strcmp(text, is) == 0;
}

static void note(const char *what)
{
	FILE *f = fopen(getenv("SHIM_LOG"), "a");
	if (f != NULL) {
		fputs(what, f);
		fclose(f);
	}
}

static CK_RV initialize(CK_VOID_PTR args)
{
	note("start\n");
	if (mode("hang at once"))
		for (;;)
			pause();
	if (mode("slow at once"))
		sleep(2);
	if (mode("crash at once"))
		abort();
	return real->C_Initialize(args);
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	CK_RV rv = real->C_GetTokenInfo(slot, info);
	if (mode("final try"))
		info->flags |= CKF_USER_PIN_FINAL_TRY;
	if (mode("locked"))
		info->flags |= CKF_USER_PIN_LOCKED;
	return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE type, CK_UTF8CHAR_PTR pin, CK_ULONG len)
{
	note("login\n");
	if (mode("expired"))
		return CKR_PIN_EXPIRED;
	return real->C_Login(session, type, pin, len);
}

static CK_RV find(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR t, CK_ULONG n)
{
	if (mode("session lost"))
		return CKR_SESSION_HANDLE_INVALID;
	if (mode("removed"))
		return CKR_DEVICE_REMOVED;
	return real->C_FindObjectsInit(session, t, n);
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR app, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session)
{
	static int opened;
	if (mode("one session") && __sync_fetch_and_add(&opened, 1) > 0)
		return CKR_SESSION_COUNT;
	return real->C_OpenSession(slot, flags, app, notify, session);
}

static CK_RV encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	if (mode("no ECB") && m->mechanism == CKM_AES_ECB)
		return CKR_MECHANISM_INVALID;
	if (mode("no encryption"))
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	if (mode("no encryption, vaguely"))
		return CKR_FUNCTION_FAILED;
	if (mode("own IV") && m->mechanism == CKM_AES_GCM)
		memset(((CK_GCM_PARAMS_PTR)m->pParameter)->pIv, 0x5a, 12);
	return real->C_EncryptInit(session, m, key);
}

static CK_RV encrypt(CK_SESSION_HANDLE session, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out, CK_ULONG_PTR outlen)
{
	if (mode("hang"))
		for (;;)
			pause();
	if (mode("crash"))
		*(volatile int *)8 = 1;
	if (mode("other bytes") && out != NULL) {
		CK_RV rv = real->C_Encrypt(session, in, len, out, outlen);
		if (len != 16)
			out[0] ^= 1;
		return rv;
	}
	return real->C_Encrypt(session, in, len, out, outlen);
}

static CK_RV decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	if (mode("no ECB") && m->mechanism == CKM_AES_ECB)
		return CKR_MECHANISM_INVALID;
	return real->C_DecryptInit(session, m, key);
}

// decrypt counts calls that are none for a fingerprint: "hiccup" is trouble once, "trouble"
// trouble that lasts, and "failing over" trouble of two kinds with a call that works between.
static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out, CK_ULONG_PTR outlen)
{
	static int calls;
	CK_RV rv = real->C_Decrypt(session, in, len, out, outlen);
	if (out == NULL || len == 16 || !(mode("hiccup") || mode("trouble") || mode("failing over")))
		return rv;
	int call = __sync_add_and_fetch(&calls, 1);
	if (call == 1 || mode("trouble"))
		return CKR_DEVICE_ERROR;
	if (call == 3 && mode("failing over"))
		return CKR_FUNCTION_FAILED;
	return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	void *module = dlopen(getenv("SHIM_REAL"), RTLD_NOW);
	if (module == NULL)
		return CKR_GENERAL_ERROR;
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	if (get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	ours = *real;
	ours.C_Initialize = initialize;
	ours.C_GetTokenInfo = token_info;
	ours.C_Login = login;
	ours.C_FindObjectsInit = find;
	ours.C_OpenSession = open_session;
	ours.C_EncryptInit = encrypt_init;
	ours.C_Encrypt = encrypt;
	ours.C_DecryptInit = decrypt_init;
	ours.C_Decrypt = decrypt;
	*list = &ours;
	return CKR_OK;
}
