/* What the benchmark needs of intel-ipsec-mb: managers for one level of instructions, prepared keys, and a batch
 * of ESP frames (header | IV | text | ICV) sealed or opened in place. */
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

enum { SUITE_CBC_SHA1, SUITE_CBC_SHA256, SUITE_CBC_SHA512, SUITE_GCM, SUITE_CHACHA20_POLY1305 };
enum { API_BURST, API_STREAM, API_SPLIT, API_DIRECT };
enum { ESP_HEADER = 8, MAX_BATCH = 32 };

struct peer_key {
        DECLARE_ALIGNED(uint32_t encrypt[15 * 4], 16);
        DECLARE_ALIGNED(uint32_t decrypt[15 * 4], 16);
        DECLARE_ALIGNED(uint8_t ipad[64], 16);
        DECLARE_ALIGNED(uint8_t opad[64], 16);
        DECLARE_ALIGNED(struct gcm_key_data gcm, 64);
        uint8_t chacha[32];
        uint8_t salt[4];
        uint64_t key_len;
        int suite;
};

/* The same in ipsec_mb.rs. */
struct peer_packet {
        uint8_t *frame;
        const struct peer_key *key;
        uint64_t text_len;
        /* Where the tag goes: the ICV's place, or beside it when it is to be compared. */
        uint8_t *tag;
        uint8_t nonce[16];
};

const char *peer_version(void)
{
        return imb_get_version_str();
}

/* 0 SSE, 1 AVX2, 2 AVX512; NULL if the processor has not got it. */
IMB_MGR *peer_manager(int level)
{
        IMB_MGR *manager = alloc_mb_mgr(0);
        if (manager == NULL)
                return NULL;
        const uint64_t needed[] = { IMB_CPUFLAGS_SSE, IMB_CPUFLAGS_AVX2, IMB_CPUFLAGS_AVX512 };
        if ((manager->features & needed[level]) != needed[level]) {
                free_mb_mgr(manager);
                return NULL;
        }
        switch (level) {
        case 0:
                init_mb_mgr_sse(manager);
                break;
        case 1:
                init_mb_mgr_avx2(manager);
                break;
        default:
                init_mb_mgr_avx512(manager);
        }
        if (imb_get_errno(manager) != 0) {
                free_mb_mgr(manager);
                return NULL;
        }
        return manager;
}

void peer_manager_free(IMB_MGR *manager)
{
        free_mb_mgr(manager);
}

static void hmac_states(IMB_MGR *manager, struct peer_key *key, const uint8_t *mac, size_t mac_len)
{
        const size_t block = key->suite == SUITE_CBC_SHA512 ? 128 : 64;
        uint8_t padded[128];
        uint8_t *const states[] = { key->ipad, key->opad };
        const uint8_t pads[] = { 0x36, 0x5c };
        for (int i = 0; i < 2; i++) {
                memset(padded, pads[i], block);
                for (size_t at = 0; at < mac_len; at++)
                        padded[at] ^= mac[at];
                if (key->suite == SUITE_CBC_SHA1)
                        IMB_SHA1_ONE_BLOCK(manager, padded, states[i]);
                else if (key->suite == SUITE_CBC_SHA256)
                        IMB_SHA256_ONE_BLOCK(manager, padded, states[i]);
                else
                        IMB_SHA512_ONE_BLOCK(manager, padded, states[i]);
        }
}

/* `encryption` has the salt behind it where the suite has one. */
struct peer_key *peer_key_new(IMB_MGR *manager, int suite, const uint8_t *encryption, size_t encryption_len,
                              const uint8_t *mac, size_t mac_len)
{
        struct peer_key *key = aligned_alloc(64, (sizeof(*key) + 63) / 64 * 64);
        if (key == NULL)
                return NULL;
        memset(key, 0, sizeof(*key));
        key->suite = suite;
        key->key_len = encryption_len;
        if (suite == SUITE_GCM || suite == SUITE_CHACHA20_POLY1305) {
                key->key_len -= sizeof(key->salt);
                memcpy(key->salt, encryption + key->key_len, sizeof(key->salt));
        }
        switch (suite) {
        case SUITE_GCM:
                if (key->key_len == 16)
                        IMB_AES128_GCM_PRE(manager, encryption, &key->gcm);
                else
                        IMB_AES256_GCM_PRE(manager, encryption, &key->gcm);
                break;
        case SUITE_CHACHA20_POLY1305:
                memcpy(key->chacha, encryption, sizeof(key->chacha));
                break;
        default:
                if (key->key_len == 16)
                        IMB_AES_KEYEXP_128(manager, encryption, key->encrypt, key->decrypt);
                else
                        IMB_AES_KEYEXP_256(manager, encryption, key->encrypt, key->decrypt);
                hmac_states(manager, key, mac, mac_len);
        }
        return key;
}

void peer_key_free(struct peer_key *key)
{
        free(key);
}

static void set_nonce(struct peer_packet *packet)
{
        memcpy(packet->nonce, packet->key->salt, 4);
        memcpy(packet->nonce + 4, packet->frame + ESP_HEADER, 8);
}

static void fill_cipher(IMB_JOB *job, const struct peer_packet *packet, int opens)
{
        const struct peer_key *key = packet->key;
        job->cipher_mode = IMB_CIPHER_CBC;
        job->cipher_direction = opens ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
        job->enc_keys = key->encrypt;
        job->dec_keys = key->decrypt;
        job->key_len_in_bytes = key->key_len;
        job->iv = packet->frame + ESP_HEADER;
        job->iv_len_in_bytes = 16;
        job->src = packet->frame;
        job->dst = packet->frame + ESP_HEADER + 16;
        job->cipher_start_src_offset_in_bytes = ESP_HEADER + 16;
        job->msg_len_to_cipher_in_bytes = packet->text_len;
}

static void fill_hash(IMB_JOB *job, const struct peer_packet *packet)
{
        static const IMB_HASH_ALG hashes[] = { IMB_AUTH_HMAC_SHA_1, IMB_AUTH_HMAC_SHA_256, IMB_AUTH_HMAC_SHA_512 };
        static const uint64_t tags[] = { 12, 16, 32 };
        const struct peer_key *key = packet->key;
        job->src = packet->frame;
        job->hash_alg = hashes[key->suite];
        job->hash_start_src_offset_in_bytes = 0;
        job->msg_len_to_hash_in_bytes = ESP_HEADER + 16 + packet->text_len;
        job->u.HMAC._hashed_auth_key_xor_ipad = key->ipad;
        job->u.HMAC._hashed_auth_key_xor_opad = key->opad;
        job->auth_tag_output = packet->tag;
        job->auth_tag_output_len_in_bytes = tags[key->suite];
}

static void fill_combined(IMB_JOB *job, struct peer_packet *packet, int opens)
{
        const struct peer_key *key = packet->key;
        uint8_t *text = packet->frame + ESP_HEADER + 8;
        set_nonce(packet);
        job->cipher_direction = opens ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
        job->key_len_in_bytes = key->key_len;
        job->iv = packet->nonce;
        job->iv_len_in_bytes = 12;
        job->src = text;
        job->dst = text;
        job->cipher_start_src_offset_in_bytes = 0;
        job->msg_len_to_cipher_in_bytes = packet->text_len;
        job->hash_start_src_offset_in_bytes = 0;
        job->msg_len_to_hash_in_bytes = packet->text_len;
        job->auth_tag_output = packet->tag;
        job->auth_tag_output_len_in_bytes = 16;
        if (key->suite == SUITE_GCM) {
                job->cipher_mode = IMB_CIPHER_GCM;
                job->hash_alg = IMB_AUTH_AES_GMAC;
                job->enc_keys = &key->gcm;
                job->dec_keys = &key->gcm;
                job->u.GCM.aad = packet->frame;
                job->u.GCM.aad_len_in_bytes = ESP_HEADER;
        } else {
                job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
                job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
                job->enc_keys = key->chacha;
                job->dec_keys = key->chacha;
                job->u.CHACHA20_POLY1305.aad = packet->frame;
                job->u.CHACHA20_POLY1305.aad_len_in_bytes = ESP_HEADER;
        }
}

static void flush(IMB_MGR *manager)
{
        IMB_JOB *jobs[MAX_BATCH];
        while (IMB_FLUSH_BURST(manager, MAX_BATCH, jobs) != 0)
                ;
}

/* Cipher and hash in one job, all of them handed over at once. */
static int run_burst(IMB_MGR *manager, struct peer_packet *packets, uint32_t count, int opens, int keeps)
{
        IMB_JOB *jobs[MAX_BATCH];
        while (IMB_GET_NEXT_BURST(manager, count, jobs) < count)
                flush(manager);
        for (uint32_t i = 0; i < count; i++) {
                IMB_JOB *job = jobs[i];
                job->chain_order = opens ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
                if (packets[i].key->suite >= SUITE_GCM) {
                        fill_combined(job, &packets[i], opens);
                } else {
                        fill_cipher(job, &packets[i], opens);
                        fill_hash(job, &packets[i]);
                }
        }
        uint32_t done = IMB_SUBMIT_BURST_NOCHECK(manager, count, jobs);
        if (keeps)
                return 1;
        while (done < count) {
                const uint32_t more = IMB_FLUSH_BURST(manager, count - done, jobs);
                if (more == 0)
                        return 0;
                done += more;
        }
        return 1;
}

/* All the ciphers, then all the hashes, or the other way round: the synchronous interface. */
static int run_split(IMB_MGR *manager, struct peer_packet *packets, uint32_t count, int opens)
{
        static IMB_JOB jobs[MAX_BATCH];
        for (uint32_t i = 0; i < count; i++) {
                fill_cipher(&jobs[i], &packets[i], opens);
                fill_hash(&jobs[i], &packets[i]);
        }
        const IMB_KEY_SIZE_BYTES key_len = (IMB_KEY_SIZE_BYTES)packets[0].key->key_len;
        const IMB_CIPHER_DIRECTION direction = opens ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
        uint32_t done = 0;
        if (opens)
                done += IMB_SUBMIT_HASH_BURST_NOCHECK(manager, jobs, count, jobs[0].hash_alg);
        done += IMB_SUBMIT_CIPHER_BURST_NOCHECK(manager, jobs, count, IMB_CIPHER_CBC, direction, key_len);
        if (!opens)
                done += IMB_SUBMIT_HASH_BURST_NOCHECK(manager, jobs, count, jobs[0].hash_alg);
        return done == 2 * count;
}

/* One packet after the other by the functions for AES-GCM. */
static int run_direct(IMB_MGR *manager, struct peer_packet *packets, uint32_t count, int opens)
{
        for (uint32_t i = 0; i < count; i++) {
                struct peer_packet *packet = &packets[i];
                const struct peer_key *key = packet->key;
                uint8_t *text = packet->frame + ESP_HEADER + 8;
                struct gcm_context_data context;
                set_nonce(packet);
                aes_gcm_enc_dec_t work;
                if (key->key_len == 16)
                        work = opens ? manager->gcm128_dec : manager->gcm128_enc;
                else
                        work = opens ? manager->gcm256_dec : manager->gcm256_enc;
                work(&key->gcm, &context, text, text, packet->text_len, packet->nonce, packet->frame, ESP_HEADER,
                     packet->tag, 16);
        }
        return 1;
}

/* Seals or opens `count` packets, of one suite, and says whether all were worked on. Tags are written, not
 * compared. */
int peer_run(IMB_MGR *manager, int api, struct peer_packet *packets, uint32_t count, int opens)
{
        switch (api) {
        case API_BURST:
        case API_STREAM:
                return run_burst(manager, packets, count, opens, api == API_STREAM);
        case API_SPLIT:
                return run_split(manager, packets, count, opens);
        default:
                return run_direct(manager, packets, count, opens);
        }
}

/* Completes what API_STREAM has left. */
void peer_finish(IMB_MGR *manager)
{
        flush(manager);
}
