"""Discs with winds: which protoplanetary discs show dust lifted by a wind?"""
