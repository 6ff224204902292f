/*
 * Which ioctls change a file or a directory without being a write.
 *
 * Comes in: the file and the command. Goes out: yes or no. Included by: lsm_file, for what a brane may write,
 * and lsm_self_side, for the agent's own files. Never does: decide.
 */
#ifndef OMEGA_BPF_IOCTL_H
#define OMEGA_BPF_IOCTL_H

#include "core.bpf.h"

/*
 * Questions, which change no file, and clones, for which the kernel wants a descriptor open for writing.
 * The rest is not: flags, generations, verity and encryption, subvolumes made and removed without any
 * hook on their names, and whatever a file system invents next. Their own checks ask for the owner at
 * most, and a descriptor open for reading.
 */
static __always_inline int om_ioctl_asks(__u32 ioc)
{
	switch (ioc) {
	case 0x0001: /* FIBMAP, FIGETBSZ */
	case 0x0002:
	case 0x1500: /* FS_IOC_GETFSUUID, GETFSSYSFSPATH */
	case 0x1501:
	case 0x581f: /* FS_IOC_FSGETXATTR */
	case 0x6601: /* FS_IOC_GETFLAGS, GETVERSION, FIEMAP */
	case 0x7601:
	case 0x660b:
	case 0x6615: /* FS_IOC_GET_ENCRYPTION_POLICY, _POLICY_EX, _KEY_STATUS, _NONCE */
	case 0x6616:
	case 0x661a:
	case 0x661b:
	case 0x6686: /* FS_IOC_MEASURE_VERITY, READ_VERITY_METADATA */
	case 0x6687:
	case 0x9409: /* FICLONE, FICLONERANGE */
	case 0x940d:
	case 0x9431: /* FS_IOC_GETFSLABEL */
		return 1;
	}
	return (ioc & 0xff00) == 0x5400; /* a terminal's: on a file an error */
}

static __always_inline int om_ioctl_changes(const struct file *file, unsigned int cmd)
{
	__u32 type = file->f_inode->i_mode & OM_S_IFMT;

	/* By type and number: size and direction differ by ABI. */
	return (type == OM_S_IFREG || type == OM_S_IFDIR) && !om_ioctl_asks(cmd & 0xffff);
}

#endif
